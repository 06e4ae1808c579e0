"""The methods that rest on CLIP, from videos to figures, on a tiny CLIP's patches; and files of many descriptions."""

import json

import numpy as np
import pytest
from clip_made import write_clip
from videos_rendered import MOVES, make_videos

from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features
from zslbench.kernels import normalised
from zslbench.semantics.class_vectors import open_semantics, text_vectors
from zslbench.video.text_tower import TextTower

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
