"""The user's own datasets: their words, class vectors and splits; refusals; and a whole run on one."""

import itertools
import json
import os

import numpy as np
import pytest

from zslbench import registry
from zslbench.datasets import catalog as user_datasets
from zslbench.datasets.catalog import (
    DatasetFile,
    add_dataset,
    get_dataset,
    read_file,
    remove_dataset,
    words_of,
    working_datasets,
)
from zslbench.errors import CoverageError, NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.semantics.class_vectors import open_semantics, text_vectors
from zslbench.semantics.encoder import encode_like
from zslbench.semantics.importing import import_semantics

KNOWN = ("ApplyLipstick", "brush_hair", "air drumming", "Archery")  # the shipped table has their words


def mine(*classes, **more):
    return DatasetFile(name="mine", classes=classes or KNOWN, **more)


def without_encoder(table, phrases):
    raise OutOfVocabularyError("it is not on this machine")


def dot(table, phrases):
    """Stand in for the encoder: vectors that tell the phrases apart."""
    vectors = [np.random.default_rng(list(phrase.encode())).normal(size=384) for phrase in phrases]
    return np.array([v / np.linalg.norm(v) for v in vectors]).astype(np.float16)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HandstandPushups", "handstand pushups"),
        ("handstand_pushups", "handstand pushups"),
        ("YoYo", "yo yo"),
        ("playing TV game", "playing tv game"),
        ("playTVGame", "play tv game"),
        ("TVWatching", "tv watching"),
        ("shoot-bow  (sport)", "shoot bow sport"),
        ("jump2floor", "jump2floor"),
        ("ÖffneDieTür", "öffne die tür"),
        ("दौड़ना", "दौड़ना"),
    ],
)
def test_class_names_are_split_into_words(name, words):
    assert words_of(name) == words


@pytest.mark.parametrize("name", registry.DATASETS.names())
def test_built_in_names_are_split_into_their_plain_words(name):
    dataset = get_dataset(name)
    assert {each: words_of(each) for each in dataset.classes} == dataset.phrases["plain"]


def test_an_added_dataset_is_found_like_a_built_in_one():
    made = add_dataset(mine(citation="Me, 2026", videos_per_class={"Archery": 3}), encode_like)
    found = get_dataset("mine")
    assert found is get_dataset("mine")
    assert (found.classes, found.citation, found.n_videos, found.display_name) == (KNOWN, "Me, 2026", 3, "mine")
    assert found.digest == made.digest
    assert found.phrase("ApplyLipstick") == "apply lipstick"
    assert found.resolve_class("Brush Hair") == "brush_hair"
    assert "mine" in [dataset.name for dataset in working_datasets()]
    family = found.family("random-50/50")
    assert len(family) == 50
    assert {len(split.unseen) for split in family.splits} == {2}
    assert found.family_names == ["random-50/50"]  # a fifth of four classes is none


def test_class_vectors_of_known_words_are_the_shipped_ones():
    add_dataset(mine(), encode_like)
    shipped = open_semantics("minilm", get_dataset("ucf101"), ["ApplyLipstick", "Archery"])
    own = open_semantics("minilm", get_dataset("mine"), ["ApplyLipstick", "Archery"])
    np.testing.assert_array_equal(own.vectors, shipped.vectors)
    assert own.digest == shipped.digest


def test_tables_of_other_texts_than_the_words_are_left_out():
    add_dataset(mine(), encode_like)
    assert set(get_dataset("mine").vectors) == {"minilm"}  # not: minilm-definition


def test_unknown_words_are_encoded_when_the_dataset_is_added(monkeypatch):
    add_dataset(mine("Archery", "FoldLaundryNeatly", "peel_a_mango"), dot)
    vectors = open_semantics("minilm", get_dataset("mine"))
    expected = dot(None, ["fold laundry neatly", "peel a mango"]).astype(np.float64)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors.vectors[1:], expected, atol=1e-6)
    archery = open_semantics("minilm", get_dataset("ucf101"), ["Archery"]).vectors
    np.testing.assert_array_equal(vectors.vectors[:1], archery)
    assert text_vectors("minilm", get_dataset("mine"), ["violin", "peel a mango"]).shape == (2, 384)


def test_without_the_encoder_a_class_of_unknown_words_has_no_vector():
    add_dataset(mine("Archery", "brush hair", "zxcvb"), without_encoder)
    assert len(open_semantics("minilm", get_dataset("mine"), ["Archery", "brush hair"])) == 2
    with pytest.raises(CoverageError, match=r"classes \(zxcvb\); 'zslbench datasets words mine' shows why"):
        open_semantics("minilm", get_dataset("mine"))


def test_imported_word_vectors_serve_a_users_dataset(tmp_path):
    (tmp_path / "w.txt").write_text("peel 1 0\nmango 0 1\nthe 1 1\n")
    import_semantics("w", tmp_path / "w.txt")
    add_dataset(mine("PeelMango", "mango"), encode_like)
    vectors = open_semantics("w", get_dataset("mine")).vectors
    np.testing.assert_allclose(vectors, [[0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-6)


def test_a_file_may_give_the_words(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(
        'display_name = "My videos"\nclasses = ["c1", "c2", "brush hair"]\n[phrases]\nc1 = "Archery"\nc2 = "yo  yo"\n'
    )
    add_dataset(read_file(path, "mine"), encode_like)
    found = get_dataset("mine")
    assert found.phrases["plain"] == {"c1": "archery", "c2": "yo yo", "brush hair": "brush hair"}
    assert found.display_name == "My videos"
    assert len(open_semantics("minilm", found)) == 3


def test_what_is_kept_can_be_read_again_whatever_the_names(data_root):
    odd = ('say "cheese"', "back\\slash", "#122 (HQ) [x]; a=b & c!", "türöffnen", "跳高", "a'b")
    given = mine(*odd, phrases={odd[0]: "say cheese now"}, videos_per_class={odd[2]: 4}, citation='A "B", 2026')
    assert user_datasets._toml("a\x7fb") == '"a\\u007fb"'
    add_dataset(given, encode_like)
    assert read_file(data_root / "datasets" / "mine.toml") == given


def test_replacing_changes_what_is_found_and_needs_to_be_asked_for(data_root):
    add_dataset(mine(), encode_like)
    with pytest.raises(ZslbenchError, match="--replace"):
        add_dataset(mine("a", "b"), encode_like)
    assert get_dataset("mine").classes == KNOWN
    add_dataset(mine("run", "walk"), encode_like, replace=True)
    assert get_dataset("mine").classes == ("run", "walk")


def vectors_of_mine():
    """Return the classes of ``mine`` and whether each has the vector that its words stand for."""
    dataset = get_dataset("mine")
    found = open_semantics("minilm", dataset).vectors
    words = [dataset.phrase(name) for name in dataset.classes]
    return dataset.classes, np.allclose(found, dot(None, words).astype(np.float64), atol=1e-3)


OLD, NEW = ("FoldLaundryNeatly", "peel_a_mango"), ("peel_a_mango", "StackTallCrates", "whisk_batter_slowly")


@pytest.mark.parametrize(
    "writer", [(np, "savez_compressed"), (user_datasets.shutil, "copyfile"), (DatasetFile, "toml")]
)
def test_a_replacement_on_a_full_disk_leaves_the_old_dataset(data_root, monkeypatch, writer):
    add_dataset(mine(*OLD), dot)
    before = sorted(path for path in (data_root / "datasets").rglob("*") if path.is_file())

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*writer, full)
    with pytest.raises(ZslbenchError, match="No space left"):
        add_dataset(mine(*NEW), dot, replace=True)
    assert vectors_of_mine() == (OLD, True)
    assert sorted(path for path in (data_root / "datasets").rglob("*") if path.is_file()) == before


def die_at(nth, *functions):
    """End the process at the nth call of these functions, without any cleaning up."""
    calls = itertools.count()

    def deadly(real):
        return lambda *given, **more: os._exit(9) if next(calls) == nth else real(*given, **more)

    for module, name in functions:
        setattr(module, name, deadly(getattr(module, name)))


def test_a_replacement_that_is_killed_leaves_the_old_dataset_or_the_new_one(data_root):
    add_dataset(mine(*OLD), dot)
    seen = set()
    for nth in range(20):
        if (child := os.fork()) == 0:
            die_at(nth, (os, "replace"), (user_datasets.shutil, "rmtree"))
            add_dataset(mine(*NEW), dot, replace=True)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        classes, right = vectors_of_mine()
        assert right
        seen.add((ended, classes))
        if ended == 0:
            break
        add_dataset(mine(*OLD), dot, replace=True)
    assert seen == {(9, OLD), (9, NEW), (0, NEW)}


def test_removing_leaves_nothing(data_root, monkeypatch):
    add_dataset(mine("Archery", "peel_a_mango"), dot)
    assert len(list((data_root / "datasets" / "mine").glob("*/minilm.npz"))) == 1
    remove_dataset("mine")
    assert list((data_root / "datasets").iterdir()) == []
    with pytest.raises(NotFoundError):
        get_dataset("mine")
    with pytest.raises(NotFoundError, match="you have no dataset called 'mine'"):
        remove_dataset("mine")
    with pytest.raises(NotFoundError):
        remove_dataset("../features")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "ucf101"}, "is already a dataset of a package"),
        ({"name": "ucf-101"}, "'ucf-101' means ucf101, a dataset of a package; choose another name"),
        ({"name": "hmdb"}, "'hmdb' means hmdb51"),
        ({"name": "k400"}, "'k400' means kinetics400"),
        ({"name": "Mine"}, "cannot name a dataset"),
        ({"name": "../mine"}, "cannot name a dataset"),
        ({"name": "add"}, "cannot name a dataset"),
        ({"classes": ("run",)}, "has 1 class; it needs at least two"),
        ({"classes": ("run", "walk", "run")}, "differ only in case or punctuation: run, run"),
        ({"classes": ("HandstandPushups", "HandStandPushups", "x")}, "HandstandPushups, HandStandPushups; rename"),
        ({"classes": ("a", "A", "b")}, "differ only in case or punctuation: a, A"),
        ({"classes": ("run", "###")}, "'###'.* has no words"),
        ({"classes": ("run", " walk")}, "' walk' cannot name a class"),
        ({"classes": ("run", "walk"), "phrases": {"walk": "run"}}, "words of run and walk of mine are both 'run'"),
        ({"classes": ("run", "walk"), "phrases": {"wlak": "go"}}, "'wlak', which is no class. Did you mean walk"),
        ({"classes": ("run", "walk"), "videos_per_class": {"jump": 2}}, "'jump', which is no class"),
    ],
)
def test_impossible_datasets_are_refused_and_nothing_is_written(data_root, given, sentence):
    with pytest.raises(ZslbenchError, match=sentence):
        add_dataset(DatasetFile(**({"name": "mine", "classes": KNOWN} | given)), encode_like)
    assert not (data_root / "datasets").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("classes = [", "cannot be read"),
        ('clases = ["a", "b"]', "clases|classes"),
        ('name = "yours"\nclasses = ["a", "b"]', "describes 'yours', not 'mine'"),
        ("classes = 3", "classes: "),
        ('classes = ["a", "b"]\nvideos_per_class = {a = "many"}', "videos_per_class.a: "),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, sentence):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ZslbenchError, match=sentence) as error:
        read_file(tmp_path / "x.toml", "mine")
    assert "\n" not in str(error.value).replace(text, "")


def test_a_spoilt_file_spoils_its_own_dataset_only(data_root):
    add_dataset(mine(), encode_like)
    (data_root / "datasets" / "mine.toml").write_text("classes = [")
    with pytest.raises(ZslbenchError, match=r"mine\.toml cannot be read"):
        get_dataset("mine")
    assert "ucf101" in [dataset.name for dataset in working_datasets()]


def test_a_plugin_that_takes_the_name_later_is_told(monkeypatch):
    add_dataset(mine(), encode_like)
    names = registry.DATASETS.names()
    user_datasets._read.cache_clear()  # as in the process that comes after the plugin's installation
    monkeypatch.setattr(registry.Registry, "names", lambda self: [*names, "mine"])
    with pytest.raises(ZslbenchError, match="is in a package and in your data folder; rename"):
        get_dataset("mine")


def test_unknown_names_are_compared_with_the_users_too():
    add_dataset(mine(), encode_like)
    with pytest.raises(NotFoundError, match="Did you mean mine"):
        get_dataset("mime")


def test_a_users_dataset_runs_from_csv_to_leaderboard(zslbench, tmp_path):
    """Features that are a linear map of three-dimensional word vectors: four seen classes tell the map."""
    rng = np.random.default_rng(0)
    classes = [f"class{letter}" for letter in "ABCDEFGHIJKL"]
    vectors = rng.normal(size=(12, 3))
    lines = [f"{'abcdefghijkl'[i]} {' '.join(map(str, vector))}" for i, vector in enumerate(vectors)]
    (tmp_path / "w.txt").write_text("\n".join(lines))
    import_semantics("w", tmp_path / "w.txt")
    (tmp_path / "mine.toml").write_text(
        f"classes = {json.dumps(classes)}\n[phrases]\n" + "\n".join(f'{name} = "{name[-1]}"' for name in classes)
    )
    assert zslbench("datasets", "add", "mine", "--file", tmp_path / "mine.toml")[0] == 0
    features = np.repeat(open_semantics("w", get_dataset("mine")).vectors, 6, axis=0) @ rng.normal(size=(3, 20))
    np.save(tmp_path / "f.npy", (features + 0.05 * rng.normal(size=features.shape)).astype(np.float32))
    rows = [f"{name}_{i},{name}" for name in classes for i in range(6)]
    (tmp_path / "f.csv").write_text("\n".join(["video,class", *rows]))
    code, _, err = zslbench(
        "features", "import", "mine", "motion", "--features", tmp_path / "f.npy", "--videos", tmp_path / "f.csv",
        "--extractor", "made up", "--trained-on", "nothing",
    )  # fmt: skip
    assert code == 0, err
    assert "mine@motion" in zslbench("features", "list")[1]
    code, out, err = zslbench(
        "run", "--method", "pooled-krr", "--dataset", "mine", "--features", "motion", "--semantics", "w",
        "--splits", "2", "--results", tmp_path / "runs", "--no-track",
    )  # fmt: skip
    assert code == 0, err
    assert "mine@motion, protocol zsl, splits random-50/50, class vectors w" in out
    results = [json.loads(path.read_text()) for path in (tmp_path / "runs").rglob("result.json")]
    assert len(results) == 2
    assert np.mean([result["metrics"]["top1"] for result in results]) > 0.5  # chance is a sixth
