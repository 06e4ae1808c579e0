"""The methods that rest on CLIP, from videos to figures, on a tiny CLIP's patches; and files of many descriptions."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from clip_made import write_clip
from videos_rendered import MOVES, make_videos

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features
from zslbench.kernels import normalised
from zslbench.semantics.class_vectors import open_semantics, text_vectors
from zslbench.semantics.token_tower import any_text_vectors
from zslbench.video.text_tower import TextTower

transformers = pytest.importorskip("transformers")
SAID = {
    move: [f"Somebody will {move}.", *(f"{move} {part}" for part in ("ball", "room", "arms", "legs", "up"))]
    for move in MOVES
}
SAID["wave"] += [f"wave number {i}" for i in range(30)]  # as in ActionHub, some classes have more descriptions
TEMPLATES = ("a video of {}.", "somebody can {}")


@pytest.fixture(scope="module")
def moves(tmp_path_factory):
    folder = tmp_path_factory.mktemp("moves")
    make_videos(folder, per_class=4)
    return folder


@pytest.fixture
def inputs(moves, zslbench, tmp_path):
    """Patch tokens of the videos, texts, and class vectors of the same CLIP."""
    clip = write_clip(tmp_path)
    (tmp_path / "texts.json").write_text(json.dumps(SAID))
    (tmp_path / "prompts.txt").write_text("\n".join(TEMPLATES))
    patches = ("--set", "clip.tokens=patch", "--set", "sampler.n_segments=3")
    for line in (
        ("datasets", "add", "moves", "--videos", moves),
        ("extract", "--dataset", "moves", "--videos", moves, "--backbone", "clip", "--weights", clip, *patches),
        ("texts", "import", "moves", tmp_path / "texts.json", "--name", "mine", "--uneven"),
        ("semantics", "import", "tiny-clip", "--clip", clip, "--dataset", "moves", "--texts", "mine",
         "--templates", tmp_path / "prompts.txt"),
    ):  # fmt: skip
        code, _, err = zslbench(*line)
        assert code == 0, err
    return clip


def test_bike_sti_and_prompts_run_from_videos_to_figures(inputs, zslbench, tmp_path):
    features = open_features(get_dataset("moves"), "clip")
    assert (features.manifest.tokens, features.manifest.dim) == (17, 24)
    methods = (
        "clip-zero-shot", "bike", "bike:paper", "sti", "sti:no-spatial", "sti:learnt", "coco", "coco:joint", "text4vis",
        "text4vis:actionclip",
    )  # fmt: skip
    small = [f"{name}.{key}" for name in methods[1:] for key in ("epochs=1", "min_batches=1")]
    line = ["run", "--dataset", "moves", "--features", "clip", "--semantics", "tiny-clip", "--texts", "mine"]
    line += ["--family", "random-50/50", "--splits", "1", "--no-track", "--save-model", "--results", tmp_path / "runs"]
    code, _, err = zslbench(
        *line, *(x for m in methods for x in ("--method", m)), *(x for s in small for x in ("--set", s))
    )
    assert code == 0, err
    records = {record.cell.label: record for record in Store(tmp_path / "runs").records()}
    assert {label.split(" ")[0] for label in records} == set(methods)
    assert all(record.result.state == "done" for record in records.values())
    said = {sentence for record in records.values() for sentence in record.result.warnings}
    assert not [sentence for sentence in said if "were tried" not in sentence]
    joint = "vision-language-pretraining"
    assert {label.split(" ")[0] for label, record in records.items() if joint not in record.cell.budget} == {
        "sti:learnt", "coco"
    }  # fmt: skip


@pytest.mark.slow
def test_prompts_that_the_tower_cuts_are_counted(inputs, zslbench):
    line = ("prompts", "--dataset", "moves", "--features", "clip", "--model", inputs, "--names", "plain")
    code, _, err = zslbench(*line, "--template", "x" * 90 + "{}", "--template", "{}")
    assert code == 0, err
    assert f"warning: {len(MOVES)} texts were cut after 77 tokens" in err


def test_class_vectors_are_prompts_and_texts_are_encoded_by_the_same_tower(inputs):
    dataset = get_dataset("moves")
    found = open_semantics("tiny-clip", dataset)
    expected = TextTower(inputs).class_vectors(list(MOVES), TEMPLATES)
    np.testing.assert_allclose(found.vectors, normalised(expected)[[MOVES.index(n) for n in found.names]], atol=1e-5)
    said = SAID["wave"]
    np.testing.assert_allclose(
        text_vectors("tiny-clip", dataset, said), TextTower(inputs).class_vectors(said, ("{}",)), atol=1e-5
    )


def test_coop_learns_a_prompt_through_the_tower_that_made_the_class_vectors(inputs, zslbench, tmp_path):
    features = ("--dataset", "moves", "--features", "clip", "--results", tmp_path / "runs")
    grid = ("--family", "random-50/50", "--splits", "1", "--no-track", "--semantics", "tiny-clip", "--save-model")
    small = ("--method", "coop", "--set", "coop.epochs=1", "--set", "coop.min_batches=1")
    code, _, err = zslbench("run", *features, *grid, *small)
    assert code == 0, err
    (record,) = Store(tmp_path / "runs").records()
    assert record.result.state == "done"
    code, out, err = zslbench("predict", record.cell.id[:8], *features, "--classes", "wave, jump ball")
    assert code == 0, err
    assert "jump ball" in out


def by_transformers(folder, texts):
    """Return the unit vectors of texts by transformers' own text tower, (n, 24)."""
    model = transformers.CLIPTextModelWithProjection.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=77, return_tensors="pt"
    )
    with torch.inference_mode():
        return normalised(model(**tokens).text_embeds.numpy())


def scores_of(record, results):
    """Return the scores of a cell as video -> class -> score."""
    rows = pq.read_table(Store(results).folder(record) / "predictions.parquet").to_pylist()
    return {row["video"]: dict(zip(row["predicted"], row["scores"], strict=True)) for row in rows}


def mean_frames(ids):
    """Return the unit mean frame of each video, (n, 24)."""
    features = open_features(get_dataset("moves"), "clip")
    return normalised(features.store.pooled()[[features.ids.index(each) for each in ids]])


def shares(rows):
    """Return the softmax of each row."""
    powers = np.exp(rows.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def test_texts_that_were_not_imported_are_encoded_as_they_are_by_the_tower_of_the_class_vectors(inputs):
    said = ["This is a video about Jump ball,wave", SAID["wave"][0], "wave number 3 " * 9, "This is a video about up"]
    found = any_text_vectors("tiny-clip", get_dataset("moves"), said)
    np.testing.assert_allclose(found, by_transformers(inputs, said), atol=1e-5)
    stored = text_vectors("tiny-clip", get_dataset("moves"), said[1:2])
    np.testing.assert_array_equal(found[1:2], stored)


def test_bikes_branch_of_attributes_compares_sentences_by_transformers_own_call_with_the_classes(
    inputs, zslbench, tmp_path
):
    grid = ("--dataset", "moves", "--features", "clip", "--semantics", "tiny-clip", "--texts", "mine", "--no-track")
    split = ("--family", "random-50/50", "--splits", "1", "--results", tmp_path / "runs")
    alone = ("--method", "bike:parameter-free", "--set", "bike:parameter-free.attributes=cosine")
    alone += ("--set", "bike:parameter-free.share=1", "--set", "bike:parameter-free.n_attributes=2")
    head = (
        "--method",
        "bike",
        "--set",
        "bike.attributes=head",
        "--set",
        "bike.epochs=1",
        "--set",
        "bike.min_batches=1",
    )
    code, _, err = zslbench("run", *grid, *split, *alone, *head)
    assert code == 0, err
    records = {record.cell.label.split(" ")[0]: record for record in Store(tmp_path / "runs").records()}
    assert {record.result.state for record in records.values()} == {"done"}
    found = scores_of(records["bike:parameter-free"], tmp_path / "runs")
    unseen = sorted(next(iter(found.values())))
    lexicon = [text for move in MOVES if move not in unseen for text in SAID[move][1:]]
    near = np.argsort(-mean_frames(found) @ by_transformers(inputs, lexicon).T, axis=1)[:, :2]
    said = by_transformers(inputs, ["This is a video about " + ",".join(lexicon[k] for k in row) for row in near])
    vectors = open_semantics("tiny-clip", get_dataset("moves"), unseen).vectors
    got = [[row[name] for name in unseen] for row in found.values()]
    np.testing.assert_allclose(got, shares(said @ vectors.T), atol=1e-5)


def test_class_vectors_without_a_model_are_refused_for_the_branch_of_attributes_only(inputs, zslbench, tmp_path):
    vectors = open_semantics("tiny-clip", get_dataset("moves"))
    np.savez(tmp_path / "bare.npz", names=np.array(vectors.names), vectors=vectors.vectors)
    code, _, err = zslbench("semantics", "import", "bare", tmp_path / "bare.npz", "--dataset", "moves")
    assert code == 0, err
    line = ("run", "--dataset", "moves", "--features", "clip", "--semantics", "bare", "--texts", "mine", "--no-track")
    line += ("--family", "random-50/50", "--splits", "1", "--results", tmp_path / "runs", "--method", "bike")
    line += ("--set", "bike.epochs=1", "--set", "bike.min_batches=1")
    code, _, err = zslbench(*line)
    assert code == 0, err
    code, _, err = zslbench(*line, "--set", "bike.attributes=cosine", "--set", "bike.lexicon=names")
    assert code == 1
    assert (
        "which these class vectors cannot; use those that 'zslbench semantics import NAME --model MODEL' makes" in err
    )


def test_released_bike_scores_by_the_tokens_that_an_import_kept(inputs, zslbench, tmp_path):
    template = "on {}"
    made = ("--clip", inputs, "--dataset", "moves", "--texts", "mine", "--template", template, "--tokens")
    code, _, err = zslbench("semantics", "import", "tokens", *made)
    assert code == 0, err
    grid = ("--dataset", "moves", "--features", "clip", "--semantics", "tokens", "--texts", "mine", "--no-track")
    split = ("--family", "random-50/50", "--splits", "1", "--results", tmp_path / "runs")
    code, _, err = zslbench("run", *grid, *split, "--method", "bike:released")
    assert code == 0, err
    (record,) = Store(tmp_path / "runs").records()
    found = scores_of(record, tmp_path / "runs")
    features = open_features(get_dataset("moves"), "clip")
    unseen = sorted(next(iter(found.values())))
    words = TextTower(inputs).tokens([get_dataset("moves").phrase(name) for name in unseen], template)
    vectors = by_transformers(inputs, [template.replace("{}", name) for name in unseen])
    for video in list(found)[:4]:
        row = features.ids.index(video)
        frames = normalised(features.store.gather(np.array([row]))[:: features.manifest.tokens])
        for name, each, vector in zip(unseen, words, vectors, strict=True):
            weights = shares(normalised(each.rows) @ frames.T / 0.01).mean(axis=0)
            assert found[video][name] == pytest.approx(weights @ frames @ vector, abs=2e-3)
