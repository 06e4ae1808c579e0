"""Token vectors beside class vectors: against transformers' own call, stored, and given to methods."""

import numpy as np
import pytest
import torch
from models_made import write_model

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.files import data_root
from zslbench.semantics.class_tokens import class_tokens, words_between
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.store import read_semantics_manifest
from zslbench.semantics.texts import open_texts
from zslbench.video.text_tower import TextTower

transformers = pytest.importorskip("transformers")
TEMPLATE = "on {}"  # short: the tiny tokenizer has a token for each letter


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("clip"), "clip")


def by_transformers(folder, text):
    """Return the projected last hidden states of the 77 positions that CLIP's own tokenizer fills up with zeros."""
    model = transformers.CLIPTextModelWithProjection.from_pretrained(folder).eval()
    ids = transformers.AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    with torch.inference_mode():
        found = model(input_ids=torch.tensor([ids + [0] * (77 - len(ids))]))
        return ids, model.text_projection(found.last_hidden_state)[0].numpy(), found.text_embeds[0].numpy()


def test_the_tokens_of_a_prompt_are_the_projected_last_hidden_states_of_all_positions(clip):
    (tokens,) = TextTower(clip).tokens(["run up"], "on {}.")
    ids, rows, vector = by_transformers(clip, "on run up.")
    np.testing.assert_allclose(tokens.rows, rows, atol=1e-5)
    np.testing.assert_allclose(tokens.rows[len(ids) - 1], vector, atol=1e-5)  # the end is the text's vector
    # start, o, n, r, u, n, u, p, the stop, end, padding
    assert np.flatnonzero(tokens.words).tolist() == [3, 4, 5, 6, 7]


def test_company_and_padding_change_no_token(clip):
    tower = TextTower(clip)
    alone = tower.tokens(["run"], TEMPLATE)[0]
    beside = tower.tokens(["a much longer phrase", "run"], TEMPLATE)[1]
    short = tower.tokens(["run"], TEMPLATE, padded=False)[0]
    np.testing.assert_allclose(beside.rows, alone.rows, atol=1e-5)
    assert len(short.rows) == 7
    np.testing.assert_allclose(short.rows, alone.rows[:7], atol=1e-5)


def test_an_import_keeps_the_tokens_of_each_class_and_of_its_texts_as_float16(clip, zslbench):
    code, out, err = zslbench(
        "semantics", "import", "tiny", "--model", clip, "--dataset", "hmdb51", "--template", TEMPLATE, "--tokens"
    )
    assert code == 0, err
    dataset = get_dataset("hmdb51")
    texts = open_texts("shipped", dataset)
    names = ("walk", "brush_hair")
    found = class_tokens("tiny", dataset, names, [texts[name].all for name in names])
    stored = data_root() / "semantics" / "tiny"
    rows = np.load(stored / "hmdb51-tokens.npy", allow_pickle=False)
    assert f"tokens of {len(rows):,} positions, {rows.size * 2 / 1e6:.1f} MB" in " ".join(out.split())
    assert set(read_semantics_manifest("tiny").files) == {"hmdb51.npz", "hmdb51-tokens.npy", "hmdb51-tokens.npz"}
    tower = TextTower(clip)
    for name, (of_name, *of_texts) in zip(names, found, strict=True):
        (wanted,) = tower.tokens([dataset.phrase(name)], TEMPLATE)
        assert of_name.rows.dtype == np.float16
        np.testing.assert_allclose(of_name.rows, wanted.rows, atol=2e-3)
        np.testing.assert_array_equal(of_name.words, wanted.words)
        for each, text in zip(of_texts, texts[name].all, strict=True):
            (wanted,) = tower.tokens([text], padded=False)
            np.testing.assert_allclose(each.rows, wanted.rows, atol=2e-3)
            np.testing.assert_array_equal(each.words, wanted.words)
    others = class_tokens("tiny", dataset, names, [("no such text",)] * 2)
    assert [len(each) for each in others] == [1, 1]  # the names alone
    (stored / "hmdb51-tokens.npz").write_bytes(b"")
    with pytest.raises(ZslbenchError, match="differs from its checksum"):
        class_tokens("tiny", dataset, names, [(), ()])


def test_tokens_of_a_second_dataset_stand_beside_those_of_the_first(clip, zslbench):
    line = ("semantics", "import", "tiny", "--model", clip, "--template", TEMPLATE, "--texts")
    for name in ("hmdb51", "olympicsports16"):
        assert zslbench(*line[:-1], "--dataset", name, *(["--tokens"] if name == "hmdb51" else []))[0] == 0
    assert class_tokens("tiny", get_dataset("hmdb51"), ["walk"], [()]) is not None
    dataset = get_dataset("olympicsports16")
    assert class_tokens("tiny", dataset, dataset.classes, [()] * 16) is None
    assert class_tokens("minilm", dataset, dataset.classes, [()] * 16) is None  # a shipped source has none
    assert len(open_semantics("tiny", dataset)) == 16


def test_tokens_are_of_one_prompt_and_of_an_encoder(clip, zslbench, tmp_path):
    line = ("semantics", "import", "tiny", "--dataset", "hmdb51", "--tokens")
    code, _, err = zslbench(*line, "--model", clip)
    assert code == 2
    assert "--tokens keeps the tokens of one prompt, and there are 8; add one --template" in err
    code, _, err = zslbench(*line, clip / "model.safetensors")
    assert code == 2
    assert "leave out --names, --template, --texts and --tokens" in err
    assert not (data_root() / "semantics" / "tiny").exists()


@pytest.mark.parametrize("kind", ["siglip", "chinese_clip"])
def test_a_tower_whose_tokens_are_in_another_space_is_refused(tmp_path, kind):
    tower = TextTower(write_model(tmp_path / kind, kind))
    with pytest.raises(ZslbenchError, match="gives no token vectors in the space of its text vectors"):
        tower.tokens(["run"])


def test_a_prompt_that_is_cut_before_its_text_is_refused(clip):
    with pytest.raises(ZslbenchError, match="no token of 'run' is left in its prompt; give a shorter --template"):
        TextTower(clip).tokens(["run"], "x" * 90 + "{}")
    assert words_between([(0, 0), (0, 3), (3, 5), (0, 0)], 1, "ab").tolist() == [False, True, False, False]
