"""Class vectors by any model of sentence-transformers in a folder: numbers, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.semantics.class_tokens import class_tokens
from zslbench.semantics.class_vectors import open_semantics, text_vectors
from zslbench.semantics.sentence_encoder import sentence_encoder
from zslbench.semantics.store import list_semantics

transformers = pytest.importorskip("transformers")
pytest.importorskip("sentence_transformers")
MODULES = "sentence_transformers.models"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tiny BERT with random weights and mean pooling, as sentence-transformers saves it."""
    folder = tmp_path_factory.mktemp("tiny-sbert")
    letters = [chr(c) for c in range(97, 123)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True})
    )
    write_modules(folder, f"{MODULES}.Transformer", f"{MODULES}.Pooling")
    return folder


def write_modules(folder, *kinds):
    rows = [{"idx": i, "name": str(i), "path": "1_Pooling" if i else "", "type": kind} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(rows))


def by_hand(folder, text):
    """Return the mean of the last hidden states, by transformers alone."""
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0]
    mean = states.mean(dim=0).numpy().astype(np.float64)
    return mean / np.linalg.norm(mean)


def test_a_folder_gives_class_vectors_and_those_of_their_words(saved, zslbench):
    code, out, err = zslbench("semantics", "import", "tiny", "--encoder", saved, "--dataset", "olympicsports16")
    assert code == 0, err
    assert "tiny: 16-d, olympicsports16 (16 classes) (sentence-transformers tiny-sbert" in out
    dataset = get_dataset("olympicsports16")
    found = open_semantics("tiny", dataset)
    np.testing.assert_allclose(found.take(["pole_vault"]).vectors[0], by_hand(saved, "pole vault"), atol=1e-5)
    np.testing.assert_allclose(text_vectors("tiny", dataset, ["vault"])[0], by_hand(saved, "vault"), atol=1e-5)


def test_templates_are_averaged(saved, zslbench, tmp_path):
    (tmp_path / "t.txt").write_text("a {}\nsome {}\n")
    args = ("--encoder", saved, "--dataset", "olympicsports16", "--templates", tmp_path / "t.txt")
    assert zslbench("semantics", "import", "tiny", *args)[0] == 0
    mean = by_hand(saved, "a snatch") + by_hand(saved, "some snatch")
    found = open_semantics("tiny", get_dataset("olympicsports16")).take(["snatch"]).vectors[0]
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-5)


@pytest.fixture
def copied(saved, tmp_path):
    import shutil

    return shutil.copytree(saved, tmp_path / "copy")


def test_the_place_of_a_model_is_no_part_of_its_digest(saved, copied):
    assert sentence_encoder(saved).weights == sentence_encoder(copied).weights


def library(folder):
    """Return sentence-transformers' own function from texts to vectors."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode


@pytest.mark.parametrize("normalised", [False, True])
def test_vectors_are_those_of_the_librarys_own_encode_at_unit_length(copied, zslbench, normalised):
    kinds = (f"{MODULES}.Transformer", f"{MODULES}.Pooling", *([f"{MODULES}.Normalize"] if normalised else []))
    rows = [{"idx": i, "name": str(i), "path": f"{i}_{kind.split('.')[-1]}" if i else "", "type": kind}
            for i, kind in enumerate(kinds)]  # fmt: skip
    (copied / "modules.json").write_text(json.dumps(rows))
    (copied / "2_Normalize").mkdir()
    dataset = get_dataset("olympicsports16")
    code, _, err = zslbench("semantics", "import", "tiny", "--encoder", copied, "--dataset", dataset.name)
    assert code == 0, err
    own = library(copied)([dataset.phrase(name) for name in dataset.classes], normalize_embeddings=not normalised)
    np.testing.assert_allclose(np.linalg.norm(own, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(open_semantics("tiny", dataset).vectors, own, atol=1e-5)


def test_a_default_prompt_is_used_and_said_and_other_prompts_are_not(copied, zslbench):
    prompts = {"prompts": {"action": "a video of ", "query": "query: "}, "default_prompt_name": "action"}
    (copied / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    args = ("--encoder", copied, "--dataset", "olympicsports16")
    code, out, err = zslbench("semantics", "import", "tiny", *args)
    assert code == 0, err
    said = " ".join(out.split())
    assert "its default prompt 'a video of '" in said
    assert "without its prompts query" in said
    found = open_semantics("tiny", get_dataset("olympicsports16")).take(["snatch"]).vectors[0]
    (own,) = library(copied)(["snatch"], normalize_embeddings=True)
    np.testing.assert_allclose(found, own, atol=1e-5)
    np.testing.assert_allclose(found, by_hand(copied, "a video of snatch"), atol=1e-5)


def test_other_prompts_for_another_dataset_of_a_source_are_said(saved, zslbench):
    args = ("semantics", "import", "tiny", "--encoder", saved, "--template", "a {}")
    assert zslbench(*args, "--dataset", "olympicsports16")[0] == 0
    _, _, err = zslbench(*args, "--dataset", "hmdb51")
    assert "differ between datasets" not in err
    assert zslbench("semantics", "remove", "tiny", "--yes")[0] == 0
    assert zslbench(*args, "--dataset", "olympicsports16")[0] == 0
    _, _, err = zslbench(*args[:-1], "some {}", "--dataset", "hmdb51")
    assert "the prompts of tiny differ between datasets (hmdb51: names=plain,template=some {}" in " ".join(err.split())


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("modules.json", {"type": "x"}, "no list of modules"),
        ("modules.json", ["x"], "no list of modules"),
        ("1_Pooling/config.json", {"activation_function": "os.abort"}, "would run 'os.abort'"),
        ("1_Pooling/config.json", {"tokenizer_class": "evil.Tokenizer"}, "would run 'evil.Tokenizer'"),
        ("1_Pooling/router_config.json", {"types": {"a": "evil.Module"}}, "has the module 'evil.Module'"),
        ("1_Pooling/router_config.json", [], None),
    ],
)
def test_configurations_that_name_code_of_others_are_refused(copied, file, content, says):
    (copied / file).write_text(json.dumps(content))
    if says is None:
        assert sentence_encoder(copied)
        return
    with pytest.raises(ZslbenchError, match=says):
        sentence_encoder(copied)


def test_models_that_would_run_code_are_refused(copied):
    for kind in ("custom.Module", "os.system", "sentence_transformersx.models.Pooling"):
        write_modules(copied, f"{MODULES}.Transformer", kind)
        with pytest.raises(ZslbenchError, match="would run"):
            sentence_encoder(copied)
    write_modules(copied, f"{MODULES}.Transformer", f"{MODULES}.Pooling")
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.Model"}}))
    with pytest.raises(ZslbenchError, match="auto_map"):
        sentence_encoder(copied)


def test_a_model_without_a_vocabulary_is_refused(copied):
    (copied / "vocab.txt").unlink()
    with pytest.raises(ZslbenchError, match=r"no tokenizer that can distinguish words.*vocab\.txt|cannot be loaded"):
        sentence_encoder(copied).vectors_of(["run"], ("{}",))


def test_weights_in_a_pickle_are_refused(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ZslbenchError, match=r"pytorch_model\.bin, a pickle"):
        sentence_encoder(copied)
    (copied / "pytorch_model.bin").unlink()
    with pytest.raises(NotFoundError, match="no weights"):
        sentence_encoder(copied)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--encoder", "nowhere", "--dataset", "hmdb51"], "there is no folder nowhere, it is not in the cache"),
        (["--encoder", "no where", "--dataset", "hmdb51"], "there is no folder no where; give a folder"),
        (["--encoder", ".", "--dataset", "hmdb51"], "no modules.json"),
        (["--encoder", ".", "--dataset", "hmdb51", "--revision", "main"], "leave out --revision"),
        (["--encoder", ".", "--dataset", "hmdb51", "--trust-remote-code"], "--trust-remote-code of --model"),
        (["--encoder", "nowhere"], "--dataset"),
        (["--encoder", "a", "--clip", "b", "--dataset", "hmdb51"], "either --model or --encoder"),
    ],
)
def test_bad_options_end_with_one_sentence(zslbench, args, sentence):
    code, out, err = zslbench("semantics", "import", "x", *args)
    assert (code, out) == (2, "")
    assert sentence in err
    assert list_semantics() == []


def test_a_model_given_as_a_file_names_the_option(saved, zslbench):
    code, _, err = zslbench("semantics", "import", "x", saved)
    assert code == 2
    assert "--encoder" in err


def test_the_mean_of_the_tokens_is_the_class_vector_and_the_words_are_those_of_the_name(saved, zslbench):
    line = ("semantics", "import", "tiny", "--encoder", saved, "--dataset", "olympicsports16", "--tokens")
    code, _, err = zslbench(*line, "--template", "on {}")
    assert code == 0, err
    dataset = get_dataset("olympicsports16")
    found = open_semantics("tiny", dataset)
    tokenizer = transformers.AutoTokenizer.from_pretrained(saved)
    tokens = class_tokens("tiny", dataset, found.names, [()] * len(found))
    assert tokens is not None
    for name, vector, (of_name,) in zip(found.names, found.vectors, tokens, strict=True):
        mean = of_name.rows.astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(mean / np.linalg.norm(mean), vector, atol=2e-3)
        before = len(tokenizer("on")["input_ids"]) - 1
        assert np.flatnonzero(of_name.words).tolist() == list(range(before, len(of_name.rows) - 1)), name


def test_a_model_that_takes_no_mean_of_its_tokens_gives_none(saved, tmp_path, zslbench):
    folder = tmp_path / "max"
    shutil.copytree(saved, folder)
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 16, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False})
    )
    line = ("semantics", "import", "tiny", "--encoder", folder, "--dataset", "olympicsports16", "--tokens")
    code, _, err = zslbench(*line)
    assert code == 2
    assert "max gives no token vectors in the space of its text vectors" in err
