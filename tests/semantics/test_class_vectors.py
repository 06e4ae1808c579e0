"""Class vectors: pooling, guards, identity, and the import of every format."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import CoverageError, NotFoundError, OutOfVocabularyError, ZslbenchError
from zslbench.semantics.class_vectors import missing_words, open_semantics
from zslbench.semantics.formats import sniff
from zslbench.semantics.importing import import_semantics
from zslbench.semantics.store import list_semantics, remove_semantics, semantics_root

pytestmark = pytest.mark.versions

VECTORS = {
    "ride": [3.0, 0.0, 4.0],
    "bike": [0.0, 2.0, 0.0],
    "Biking": [1.0, 1.0, 0.0],
    "run": [0.0, 0.0, 1.0],
    "balance_beam": [1.0, 0.0, 0.0],
    "zero": [0.0, 0.0, 0.0],
    "jog": [0.0, 0.0, 2.0],
}


def toy(**phrases):
    phrases = phrases or {"RideBike": "ride bike", "Run": "run"}
    return Dataset(name="toy", display_name="Toy", classes=tuple(phrases), phrases={"plain": phrases})


def text(vectors=VECTORS, header=True):
    lines = [f"{len(vectors)} 3"] * header + [f"{word} {' '.join(map(str, v))}" for word, v in vectors.items()]
    return "\n".join(lines) + "\n"


@pytest.fixture
def words(tmp_path):
    """The source ``w`` of the vectors above."""
    path = tmp_path / "w.txt"
    path.write_text(text())
    return import_semantics("w", path)


def test_the_default_is_the_unit_mean_of_unit_word_vectors(words):
    vectors = open_semantics("w", toy())
    # ride = (.6, 0, .8), bike = (0, 1, 0): mean (.3, .5, .4), whose length is sqrt(.5)
    np.testing.assert_allclose(vectors.vectors, [np.array([0.3, 0.5, 0.4]) / np.sqrt(0.5), [0, 0, 1]], rtol=1e-6)
    assert vectors.names == ("RideBike", "Run")
    assert vectors.vectors.dtype == np.float32
    assert vectors.describe() == "w: 3-d, mean of unit word vectors, unit length, edits plain"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("normalise=false", [0.3, 0.5, 0.4]),
        ("pool=sum,normalise=false", [0.6, 1.0, 0.8]),
        ("unit_words=false,normalise=false", [1.5, 1.0, 2.0]),
        ("pool=sum, unit_words=no, normalise=0", [3.0, 2.0, 4.0]),
        ("unit_words=false", np.array([1.5, 1.0, 2.0]) / np.sqrt(7.25)),
    ],
)
def test_parameters_change_the_pooling_and_the_digest(words, parameters, expected):
    vectors = open_semantics(f"w:{parameters}", toy())
    np.testing.assert_allclose(vectors.vectors[0], expected, rtol=1e-6)
    assert vectors.digest != open_semantics("w", toy()).digest


def test_edits_choose_the_words_and_default_to_e2e(words):
    dataset = Dataset(
        name="toy",
        display_name="Toy",
        classes=("Go", "Ride"),
        phrases={"plain": {"Go": "run", "Ride": "ride"}, "e2e-v1": {"Go": "bike", "Ride": "ride"}},
    )
    assert open_semantics("w", dataset).parameters["edits"] == "e2e-v1"
    np.testing.assert_array_equal(open_semantics("w", dataset).vectors[0], [0, 1, 0])
    np.testing.assert_array_equal(open_semantics("w:edits=plain", dataset).vectors[0], [0, 0, 1])
    with pytest.raises(NotFoundError, match="Did you mean plain"):
        open_semantics("w:edits=plane", dataset)


def test_a_damaged_source_does_not_hide_the_others(words):
    (semantics_root() / "damaged").mkdir()
    (semantics_root() / "damaged" / "manifest.json").write_text("{")
    assert open_semantics("w", toy()).source == "w"
    with pytest.raises(ZslbenchError, match="cannot be read"):
        open_semantics("damaged", toy())


def test_a_word_is_also_looked_up_capitalised(words):
    np.testing.assert_allclose(
        open_semantics("w:normalise=false,unit_words=0", toy(Bike="biking")).vectors[0], [1, 1, 0]
    )


def test_unknown_words_are_named_with_the_nearest_known_spellings(words):
    dataset = toy(BalanceBeam="balance beam", Bikes="bikes", Run="run", Biking="RUN")
    with pytest.raises(OutOfVocabularyError) as caught:
        open_semantics("w", dataset)
    message = str(caught.value)
    assert "3 of 4 class names" in message
    assert "BalanceBeam: balance, beam; the whole phrase is the entry balance_beam" in message
    assert "Bikes: bikes (known: bike)" in message
    assert "Biking: RUN (known: run)" in message  # capitalised is Run: never lower-cased silently
    assert "Run:" not in message
    assert missing_words("w", dataset)["BalanceBeam"] == ["balance", "beam"]


def test_the_message_recommends_edits_that_would_do(words):
    phrases = {"plain": {"Go": "hurry", "Ride": "ride"}, "mine": {"Go": "run", "Ride": "ride"}}
    dataset = Dataset(name="toy", display_name="Toy", classes=("Go", "Ride"), phrases=phrases)
    with pytest.raises(OutOfVocabularyError, match="use w:edits=mine"):
        open_semantics("w", dataset)
    assert open_semantics("w", dataset, ["Ride"]).names == ("Ride",)  # only what is needed must be known


def test_two_classes_with_equal_vectors_raise(words):
    with pytest.raises(ZslbenchError, match=r"RideBike and BikeRide of toy equal vectors"):
        open_semantics("w", toy(RideBike="ride bike", BikeRide="bike ride"))
    with pytest.raises(ZslbenchError, match="Run and Jog"):  # of unit length, these are the same direction
        open_semantics("w", toy(Run="run", Jog="jog"))
    assert len(open_semantics("w:unit_words=false,normalise=false", toy(Run="run", Jog="jog"))) == 2


@pytest.mark.filterwarnings("error")
def test_zero_vectors_raise_and_non_finite_ones_are_not_imported(words, tmp_path):
    for spec in ("w", "w:unit_words=false"):
        with pytest.raises(ZslbenchError, match="zero or non-finite vector for Nothing"):
            open_semantics(spec, toy(Nothing="zero", Run="run"))
    path = tmp_path / "n.txt"
    for value in (float("nan"), float("inf"), 1e39):
        path.write_text(text({"run": [1, 2, 0], "ride": [1, value, 0], "go": [value, 0, 1]}))
        with pytest.raises(
            ZslbenchError, match="the vector of 'ride' has NaN or infinite values, or ones above 3.4e38"
        ):
            import_semantics("n", path)
        assert [made.name for made in list_semantics()] == ["w"]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("w:pol=sum", "Did you mean pool"),
        ("w:pool=max", "'mean' or 'sum'"),
        ("w:normalise=maybe", "valid boolean"),
        ("w:normalise", "not key=value"),
        ("w:pool=sum,pool=mean", "given twice"),
        ("ww", "Did you mean w"),
    ],
)
def test_wrong_specifications_end_in_a_sentence(words, spec, sentence):
    with pytest.raises(ZslbenchError, match=sentence):
        open_semantics(spec, toy())


def test_shipped_vectors_take_no_word_parameters():
    dataset = get_dataset("hmdb51")
    with pytest.raises(ZslbenchError, match="edits does not apply to minilm"):
        open_semantics("minilm:edits=plain", dataset)
    vectors = open_semantics("minilm", dataset)
    assert vectors.vectors.shape == (51, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors.vectors, axis=1), 1, rtol=1e-5)
    with np.load(dataset.vectors["minilm"]) as arrays:
        row = arrays["vectors"][list(arrays["phrases"]).index("brush hair")]
    raw = open_semantics("minilm:normalise=false", dataset)
    np.testing.assert_array_equal(raw.take(["brush_hair"]).vectors[0], row.astype(np.float32))


def test_identity_follows_content_not_order_place_or_time(words, tmp_path):
    whole = open_semantics("w", toy(Run="run", Ride="ride", Bike="bike"))
    part = open_semantics("w", toy(Run="run", Ride="ride", Bike="bike"), ["Bike", "Run"])
    assert whole.take(["Run", "Bike"]).digest == part.digest != whole.digest
    np.testing.assert_array_equal(whole.take(["Bike", "Run"]).vectors, part.vectors)
    with pytest.raises(CoverageError, match="opened without Ride"):
        part.take(["Ride"])
    remove_semantics("w")
    path = tmp_path / "longer.txt"
    path.write_text(text(VECTORS | {"more": [1, 2, 3]}))
    import_semantics("w", path)
    assert open_semantics("w", toy(Run="run", Ride="ride", Bike="bike")).digest == whole.digest
    remove_semantics("w")
    path.write_text(text(VECTORS | {"run": [0.0, 0.001, 1.0]}))
    import_semantics("w", path)
    assert open_semantics("w", toy(Run="run", Ride="ride", Bike="bike")).digest != whole.digest


def test_changed_files_are_refused(words):
    path = semantics_root() / "w" / "vectors.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ZslbenchError, match="differs from its checksum"):
        open_semantics("w", toy())


@pytest.fixture(scope="session")
def gensim_files(tmp_path_factory):
    """The vectors above in every format that gensim writes."""
    from gensim.models import FastText, KeyedVectors
    from gensim.models.fasttext import save_facebook_model

    folder = tmp_path_factory.mktemp("formats")
    vectors = KeyedVectors(3)
    vectors.add_vectors(list(VECTORS), np.array(list(VECTORS.values()), dtype=np.float32))
    vectors.save_word2vec_format(str(folder / "w2v.bin"), binary=True)
    vectors.save_word2vec_format(str(folder / "w2v.bin.gz"), binary=True)
    vectors.save_word2vec_format(str(folder / "w2v.txt"))
    vectors.save_word2vec_format(str(folder / "w2v.txt.gz"))
    vectors.save_word2vec_format(str(folder / "glove.txt"), write_header=False)
    vectors.save(str(folder / "native.kv"))
    (folder / "wiki.vec").write_text("\n".join(line + " " for line in text().splitlines()))  # fastText's lines end so
    model = FastText([["ride", "bike", "run"]] * 9, vector_size=3, min_count=1, bucket=50, workers=1, seed=1)
    save_facebook_model(model, str(folder / "fast.bin"))
    model.save(str(folder / "model.model"))
    np.save(folder / "fast.npy", model.wv["run"])
    return folder


@pytest.mark.parametrize(
    "name", ["w2v.bin", "w2v.bin.gz", "w2v.txt", "w2v.txt.gz", "glove.txt", "wiki.vec", "native.kv"]
)
def test_every_word_vector_format_gives_the_same(gensim_files, words, name):
    made = import_semantics("other", gensim_files / name)
    assert (made.kind, made.dim, made.n_words) == ("words", 3, len(VECTORS))
    assert made.files == words.files


def test_fasttext_binaries_give_their_words(gensim_files):
    assert sniff(gensim_files / "fast.bin") == "fasttext-bin"
    made = import_semantics("fast", gensim_files / "fast.bin")
    assert (made.dim, made.n_words) == (3, 3)
    raw = open_semantics("fast:unit_words=false,normalise=false", toy(Run="run"))
    np.testing.assert_allclose(raw.vectors[0], np.load(gensim_files / "fast.npy"), rtol=1e-5)


def test_a_limit_keeps_the_first_words(gensim_files):
    for name in ("w2v.bin", "w2v.txt", "glove.txt"):
        made = import_semantics(f"limited-{name}", gensim_files / name, limit=2)
        assert (made.n_words, made.note) == (2, "the first 2 words")


def test_glove_words_with_spaces_and_undecodable_bytes_are_read(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_bytes(b"run 1 2 3\n. . . 4 5 6\n\xff\xfe 7 8 9\nrun 0 0 1\n")
    assert import_semantics("g", path).n_words == 3
    np.testing.assert_array_equal(open_semantics("g:unit_words=0,normalise=0", toy(Run="run")).vectors, [[1, 2, 3]])


def test_unfit_files_are_refused_with_the_remedy_and_leave_nothing(gensim_files, tmp_path):
    cases = {"p.zip": (b"PK\x05\x06" + b"\0" * 18, "not a table"), "h.mat": (b"MATLAB 7.3 MAT-file", "cannot be read")}
    cases |= {"t.txt": (b"2 3\nrun 1 2 3\nbike 1 2\n", "download is complete"), "e.txt": (b"", "no vector")}
    cases |= {"v.txt": (b"run one two\n", "cannot be read"), "c.gz": (gzip.compress(b"a 1 2\n" * 99)[:-9], "complete")}
    cases |= {"b.bin": (b"9 3\nrun \0\0\x80?\0\0", "download is complete")}
    cases |= {
        "cut.bin": ((gensim_files / "fast.bin").read_bytes()[:-90], "complete"),
        "g.gz": (b"\x1f\x8b--", "complete"),
    }
    for name, (content, sentence) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ZslbenchError, match=sentence):
            import_semantics("bad", tmp_path / name, dataset="hmdb51" if name == "p.zip" else None)
    with pytest.raises(ZslbenchError, match="save_word2vec_format"):
        import_semantics("bad", gensim_files / "model.model")
    with pytest.raises(ZslbenchError, match="check the path"):
        import_semantics("bad", tmp_path / "nothing.bin")
    assert list_semantics() == []
    assert not list(semantics_root().glob("*/*"))


def test_names_that_are_taken_or_unfit_are_refused(words, tmp_path):
    for name, sentence in (("minilm", "shipped"), ("a:b", "cannot name"), ("../up", "cannot name"), ("w", "exists")):
        with pytest.raises(ZslbenchError, match=sentence):
            import_semantics(name, tmp_path / "w.txt")
    for name in ("..", "", "nothing"):
        with pytest.raises(NotFoundError):
            remove_semantics(name)
    assert [made.name for made in list_semantics()] == ["w"]


def write_npz(path, names, vectors):
    np.savez(path, names=np.array(names), vectors=vectors)
    return path


def test_class_vectors_of_one_dataset_after_another(tmp_path):
    rng = np.random.default_rng(0)
    olympic, hmdb = get_dataset("olympicsports16"), get_dataset("hmdb51")
    first = rng.standard_normal((16, 4))
    spelt = [name.replace("_", " ").title() for name in olympic.classes]
    import_semantics("mine", write_npz(tmp_path / "a.npz", spelt, first), dataset="olympicsports16")
    vectors = open_semantics("mine:normalise=false", olympic)
    np.testing.assert_array_equal(vectors.vectors, first.astype(np.float32))
    assert "pool" not in vectors.parameters
    with pytest.raises(NotFoundError, match="--dataset hmdb51"):
        open_semantics("mine", hmdb)
    part = write_npz(tmp_path / "b.npz", hmdb.classes[:-2], rng.standard_normal((49, 4)))
    import_semantics("mine", part, dataset="hmdb51")
    assert open_semantics("mine:normalise=false", olympic).digest == vectors.digest
    with pytest.raises(CoverageError, match=r"2 of 51 hmdb51 classes \(walk, wave\)"):
        open_semantics("mine", hmdb)
    assert len(open_semantics("mine", hmdb, hmdb.classes[:9])) == 9
    assert missing_words("mine", hmdb) == {"walk": [], "wave": []}
    with pytest.raises(ZslbenchError, match="mine exists"):
        import_semantics("mine", part, dataset="hmdb51")


def test_unfit_class_tables_are_refused(tmp_path):
    names = list(get_dataset("olympicsports16").classes)
    rows = np.ones((16, 2))
    cases = [
        (names, rows[:3], "one row"),
        (names, rows.astype(int), "floating"),
        ([*names[:15], "Bowling"], rows, "twice"),
        ([*names[:15], "bowlin"], rows, "Did you mean bowling"),
    ]
    for given, vectors, sentence in cases:
        with pytest.raises(ZslbenchError, match=sentence):
            import_semantics("t", write_npz(tmp_path / "t.npz", given, vectors), dataset="olympicsports16")
    path = write_npz(tmp_path / "t.npz", names, rows)
    for options, sentence in (({}, "--dataset"), ({"dataset": "olympicsports16", "limit": 3}, "--limit")):
        with pytest.raises(ZslbenchError, match=sentence):
            import_semantics("t", path, **options)
    np.savez(tmp_path / "u.npz", words=rows)
    with pytest.raises(ZslbenchError, match=r"numpy\.savez"):
        import_semantics("t", tmp_path / "u.npz", dataset="olympicsports16")
    import_semantics("t", path, dataset="olympicsports16")
    with pytest.raises(ZslbenchError, match="basketball_layup and bowling of olympicsports16 equal"):
        open_semantics("t", get_dataset("olympicsports16"))


@pytest.mark.real
def test_xus_release_gives_class_vectors_of_three_datasets(shared_data):
    made = import_semantics("word2vec-xu", shared_data / "xu-ijcv17" / "Label.mat")
    assert made.datasets == {"hmdb51": 51, "ucf101": 101, "olympicsports16": 16}
    assert made.note == "left out CCV"
    for name, n_classes in made.datasets.items():
        dataset = get_dataset(name)
        raw = open_semantics("word2vec-xu:normalise=false", dataset)
        assert raw.vectors.shape == (n_classes, 300)
        # Sums of unit word vectors: 1 for one word, about 1.5 for two.
        norms = np.linalg.norm(raw.vectors, axis=1)
        n_words = np.array([len(dataset.phrase(c).split()) for c in dataset.classes])
        assert norms.min() > 0.9999
        assert 1.3 < norms[n_words == 2].mean() < 1.7
    ucf = open_semantics("word2vec-xu", get_dataset("ucf101"))
    assert np.linalg.norm(open_semantics("word2vec-xu:normalise=0", get_dataset("ucf101"), ["Archery"]).vectors) == (
        pytest.approx(1, abs=1e-5)
    )
    for pair, cosine in ((["JavelinThrow", "ThrowDiscus"], 0.957), (["PlayingCello", "PlayingViolin"], 0.954)):
        a, b = ucf.take(pair).vectors
        assert a @ b == pytest.approx(cosine, abs=5e-4)


def test_importing_the_module_is_light():
    modules = "zslbench.semantics, zslbench.semantics.importing, zslbench.cli.semantics, zslbench.cli.splits"
    code = f"import sys, {modules}; print({{'torch', 'sklearn', 'pandas', 'mlflow', 'gensim'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_vectors_of_another_dimension_cannot_join_a_source(tmp_path):
    for dataset, dim in (("kinetics400", 5), ("kinetics600", 4)):
        names = get_dataset(dataset).classes[:3]
        vectors = np.random.default_rng(0).normal(size=(3, dim))
        np.savez(tmp_path / f"{dataset}.npz", names=np.array(names), vectors=vectors)
    import_semantics("mine", tmp_path / "kinetics400.npz", dataset="kinetics400")
    with pytest.raises(ZslbenchError, match="4-d vectors, but mine has 5-d ones of kinetics400"):
        import_semantics("mine", tmp_path / "kinetics600.npz", dataset="kinetics600")
    assert (
        open_semantics("mine", get_dataset("kinetics400"), get_dataset("kinetics400").classes[:3]).vectors.shape[1] == 5
    )
