"""Word vectors as they are released: ConceptNet, GloVe, fastText, word2vec, spaCy; none of these files is foreign."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile

import h5py
import msgpack
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zslbench.datasets.dataset import Dataset
from zslbench.errors import OutOfVocabularyError, ZslbenchError
from zslbench.semantics._spacy_vectors import spacy_hash
from zslbench.semantics.class_vectors import missing_words, open_semantics, text_vectors, words_of_parts
from zslbench.semantics.coverage import coverage_warning
from zslbench.semantics.importing import import_semantics
from zslbench.semantics.store import list_semantics

pytestmark = pytest.mark.versions

RUN, EYE, MAKEUP = [1.0, 2.0, 4.0], [3.0, 2.0, 4.0], [3.0, 2.0, 1.0]


def toy(**phrases):
    return Dataset(name="toy", display_name="Toy", classes=tuple(phrases), phrases={"plain": phrases})


def raw(name, **phrases):
    return open_semantics(f"{name}:unit_words=false,normalise=false", toy(**phrases)).vectors


def assert_words(name):
    np.testing.assert_array_equal(raw(name, A="run", B="eye", C="makeup"), [RUN, EYE, MAKEUP])


def line(word, values):
    return f"{word} {' '.join(map(str, values))}\n"


CONCEPTS = (
    line("/c/de/auge", EYE)
    + line("/c/en/run", RUN)
    + line("/c/roa_opt/olho", RUN)
    + line("/c/en/eye", EYE)
    + line("/c/en/makeup/n", MAKEUP)
    + line("/c/en/apply_makeup", [0, 0, 1])
    + line("/c/en/##_people", [0, 1, 0])
)


@pytest.mark.parametrize("header", ["7 3\n", ""], ids=["header", "none"])
@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_conceptnet_entries_are_read_as_english_words(tmp_path, header, suffix):
    path, content = tmp_path / f"numberbatch{suffix}", (header + CONCEPTS).encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    made = import_semantics("nb", path)
    assert (made.n_words, made.note) == (5, "ConceptNet's English words; 1 of them by their first sense")
    assert_words("nb")
    with pytest.raises(OutOfVocabularyError, match="auge"):
        open_semantics("nb", toy(A="auge"))


def test_a_limit_counts_english_words(tmp_path):
    (tmp_path / "nb.txt").write_text(CONCEPTS)
    made = import_semantics("nb", tmp_path / "nb.txt", limit=2)
    assert (made.n_words, made.note) == (2, "ConceptNet's English words; the first 2 words")


def test_conceptnets_english_release_has_plain_words(tmp_path):
    (tmp_path / "en.txt").write_text("3 3\n" + line("run", RUN) + line("eye", EYE) + line("makeup", MAKEUP))
    assert import_semantics("nb", tmp_path / "en.txt").note == ""
    assert_words("nb")


def test_conceptnets_small_hdf5_is_read_as_pandas_wrote_it(tmp_path):
    words = ["/c/en/run", "/c/fr/oeil", "/c/en/eye", "/c/en/makeup"]
    with h5py.File(tmp_path / "mini.h5", "w") as file:  # a frame of int8 in pandas' format "fixed"
        file["mat/axis0"] = np.arange(3)
        file["mat/axis1"] = np.array(words, dtype="S20")
        file["mat/block0_items"] = np.arange(3)
        file["mat/block0_values"] = np.array([RUN, RUN, EYE, MAKEUP], dtype=np.int8)
    assert import_semantics("nb", tmp_path / "mini.h5").n_words == 3
    assert_words("nb")


def test_an_hdf5_without_one_list_of_words_is_refused(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["features"] = np.ones((3, 2))
    with pytest.raises(ZslbenchError, match="one list of as many words; it has features"):
        import_semantics("x", tmp_path / "f.h5")


def test_only_foreign_words_are_refused(tmp_path):
    (tmp_path / "de.txt").write_text(line("/c/de/auge", EYE))
    with pytest.raises(ZslbenchError, match="/c/de/auge"):
        import_semantics("nb", tmp_path / "de.txt")
    assert list_semantics() == []


def test_glove_words_with_spaces_are_split_from_the_right(tmp_path):
    rows = [(". . .", [9, 9, 9]), ("run", RUN), ("at name@domain.com", [8, 8, 8]), ("eye", EYE), ("makeup", MAKEUP)]
    (tmp_path / "glove.txt").write_text("".join(line(*row) for row in rows + rows[1:] * 3))
    assert import_semantics("glove", tmp_path / "glove.txt").n_words == 5
    assert_words("glove")


@pytest.mark.parametrize("kind", ["bz2", "xz", "zip", "tabs", "blank", "spaces"])
def test_text_is_also_read_compressed_with_tabs_and_with_blank_lines(tmp_path, kind):
    content = "".join(line(*row) for row in [("run", RUN), ("eye", EYE), ("makeup", MAKEUP)])
    path = tmp_path / f"words.{kind}"
    if kind == "bz2":
        path.write_bytes(bz2.compress(content.encode()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("wiki/", "")
            archive.writestr("wiki/wiki.vec", "3 3\n" + content)
            archive.writestr("__MACOSX/wiki/._wiki.vec", "\0\5")
    elif kind == "xz":
        path.write_bytes(lzma.compress(content.encode()))
    else:
        path.write_text(content.replace(" ", {"tabs": "\t", "spaces": "  "}.get(kind, " ")) + "\n")
    import_semantics("w", path)
    assert_words("w")


def test_a_zip_of_several_files_is_refused_by_their_names(tmp_path):
    with zipfile.ZipFile(tmp_path / "glove.6B.zip", "w") as archive:
        archive.writestr("glove.50d.txt", "run 1")
        archive.writestr("glove.100d.txt", "run 1")
    with pytest.raises(ZslbenchError, match=r"glove\.50d\.txt, glove\.100d\.txt"):
        import_semantics("g", tmp_path / "glove.6B.zip")


def test_a_tar_archive_is_refused_as_its_first_word_would_be_lost(tmp_path):
    content = io.BytesIO(("".join(line(*row) for row in [("run", RUN), ("eye", EYE)])).encode())
    with tarfile.open(tmp_path / "glove.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("glove.txt")
        member.size = len(content.getvalue())
        archive.addfile(member, content)
    with pytest.raises(ZslbenchError, match="is a tar archive; unpack it"):
        import_semantics("g", tmp_path / "glove.tar.gz", limit=2)


@pytest.mark.parametrize("header", ["3 2\n", "3 4\n"])
def test_a_header_that_says_another_number_of_values_is_refused(tmp_path, header):
    rows = header + line("run", RUN) + line("eye", EYE) + line("makeup", MAKEUP)
    (tmp_path / "w.txt").write_text(rows)
    with pytest.raises(ZslbenchError, match="says 2 values per word|has no word and 4 values"):
        import_semantics("w", tmp_path / "w.txt")


def test_what_a_header_and_repeated_words_leave_open_is_said(tmp_path):
    rows = [("run", RUN), ("eye", EYE), ("run", EYE), ("makeup", MAKEUP)]
    (tmp_path / "w.txt").write_text("3 3\n" + "".join(line(*row) for row in rows))
    note = "1 rows of words that were read before are left out; all 4 rows, though its header says 3"
    assert import_semantics("w", tmp_path / "w.txt").note == note
    assert_words("w")


@pytest.mark.parametrize("order", ["senses first", "senses last"])
def test_a_concept_counts_before_its_senses(tmp_path, order):
    plain = line("/c/en/run", RUN) + line("/c/en/eye", EYE) + line("/c/en/makeup", MAKEUP)
    senses = line("/c/en/run/n/wn/act", EYE) + line("/c/en/eye/v", RUN)
    (tmp_path / "nb.txt").write_text(senses + plain if order == "senses first" else plain + senses)
    assert import_semantics("nb", tmp_path / "nb.txt").note == "ConceptNet's English words"
    assert_words("nb")


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["none", "newline"])
def test_word2vec_binaries_are_read_with_and_without_a_newline_after_each_vector(tmp_path, end):
    rows = [("run", RUN), ("eye", EYE), ("makeup", MAKEUP)]
    body = b"".join(word.encode() + b" " + struct.pack("<3f", *values) + end for word, values in rows)
    (tmp_path / "w.bin").write_bytes(b"3 3\n" + body)
    import_semantics("w", tmp_path / "w.bin")
    assert_words("w")


def binary(word, values):
    return word.encode() + b" " + struct.pack("<3f", *values)


@pytest.mark.parametrize("kind", ["text", "text.gz", "binary", "binary.gz", "binary within a vector"])
def test_a_file_that_ends_before_the_words_of_its_header_is_refused_and_a_limit_reads_what_is_there(tmp_path, kind):
    rows = [("run", RUN), ("eye", EYE), ("makeup", MAKEUP)]
    body = b"".join(binary(*row) for row in rows) if "binary" in kind else "".join(line(*row) for row in rows).encode()
    content = b"4 3\n" + body + (b"jump \x00\x00" if "within" in kind else b"")
    path = tmp_path / "words"
    path.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    with pytest.raises(ZslbenchError, match="its header says 4 words and it has 3"):
        import_semantics("w", path)
    with pytest.raises(ZslbenchError, match="its header says 4 words and it has 3"):
        import_semantics("w", path, limit=4)
    assert list_semantics() == []
    assert import_semantics("w", path, limit=3).n_words == 3
    assert_words("w")


@pytest.mark.parametrize("kind", ["text", "binary"])
def test_the_first_of_two_rows_of_a_word_counts(tmp_path, kind):
    rows = [("run", RUN), ("eye", EYE), ("run", EYE), ("makeup", MAKEUP)]
    body = b"".join(binary(*row) for row in rows) if kind == "binary" else "".join(line(*row) for row in rows).encode()
    (tmp_path / "words").write_bytes(b"4 3\n" + body)
    assert import_semantics("w", tmp_path / "words").n_words == 3
    assert_words("w")


@pytest.mark.parametrize("header", ["", "3 3\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path, header):
    rows = header + line("run", RUN) + line("eye", EYE) + line("makeup", MAKEUP)
    (tmp_path / "w.txt").write_text(rows, encoding="utf-8-sig")
    import_semantics("w", tmp_path / "w.txt")
    assert_words("w")


@pytest.fixture(scope="module")
def fasttext(tmp_path_factory):
    """A fastText ``.bin``, and gensim's vectors of it."""
    from gensim.models import FastText
    from gensim.models.fasttext import load_facebook_vectors, save_facebook_model

    path = tmp_path_factory.mktemp("fasttext") / "cc.en.3.bin"
    model = FastText([["ride", "bike", "run"]] * 9, vector_size=3, min_count=1, bucket=50, workers=1, seed=1)
    save_facebook_model(model, str(path))
    return path, load_facebook_vectors(str(path))


def fnv(part):
    """Return fastText's hash of a part: FNV-1a of signed bytes."""
    h = 2166136261
    for byte in part.encode():
        h = ((h ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * 16777619) & 0xFFFFFFFF
    return h


@pytest.mark.parametrize("word", ["runs", "unicycling", "café"])
def test_unknown_words_of_a_fasttext_binary_are_the_mean_of_their_parts(fasttext, word):
    path, gensim = fasttext
    import_semantics("fast", path)
    vector = raw("fast", A=word, B="run")[0]
    np.testing.assert_allclose(vector, gensim[word], rtol=1e-6)
    marked = f"<{word}>"
    parts = [marked[i : i + n] for n in range(3, 7) for i in range(len(marked) - n + 1)]
    by_hand = np.mean([gensim.vectors_ngrams[fnv(part) % 50] for part in parts], axis=0)
    np.testing.assert_allclose(vector, by_hand, rtol=1e-5)


def test_known_words_of_a_fasttext_binary_keep_their_own_vectors(fasttext):
    path, gensim = fasttext
    import_semantics("fast", path)
    np.testing.assert_array_equal(raw("fast", A="run", B="bike"), [gensim["run"], gensim["bike"]])
    vectors = open_semantics("fast", toy(A="run", B="unicycling"))
    assert "unknown words of parts" in vectors.describe()
    assert words_of_parts("fast", toy(A="run", B="unicycling")) == ["unicycling"]
    assert missing_words("fast", toy(A="run", B="unicycling")) == {}
    assert text_vectors("fast", toy(A="run", B="bike"), ["unicycling"]).shape == (1, 3)


def test_parts_can_be_left_out_and_change_the_identity(fasttext):
    import_semantics("fast", fasttext[0])
    with pytest.raises(OutOfVocabularyError, match="unicycling"):
        open_semantics("fast:subwords=false", toy(A="run", B="unicycling"))
    assert missing_words("fast:subwords=no", toy(A="run", B="unicycling")) == {"B": ["unicycling"]}
    both = [open_semantics(spec, toy(A="run", B="bike")).digest for spec in ("fast", "fast:subwords=false")]
    assert both[0] != both[1]


def test_a_limit_leaves_parts_out_as_it_leaves_words_out(fasttext):
    assert import_semantics("fast", fasttext[0], limit=2).subwords is None
    with pytest.raises(OutOfVocabularyError):
        open_semantics("fast", toy(A="unicycling", B="bike"))


@pytest.mark.parametrize("separately", [[], ["vectors"]], ids=["inside", "beside"])
def test_gensims_keyed_vectors_are_read_without_unpickling(tmp_path, monkeypatch, separately):
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(3)
    vectors.add_vectors(["run", "eye", "makeup"], np.array([RUN, EYE, MAKEUP], dtype=np.float32))
    vectors.set_vecattr("run", "count", 7)
    vectors.save(str(tmp_path / "w.kv"), separately=separately)
    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    import_semantics("w", tmp_path / "w.kv")
    assert_words("w")


def refuse(*_, **__):
    raise AssertionError("a pickle was loaded")


def test_keyed_vectors_of_fasttext_are_refused_with_a_remedy_that_works(tmp_path, fasttext):
    from gensim.models import KeyedVectors

    fasttext[1].save(str(tmp_path / "fast.kv"))
    with pytest.raises(ZslbenchError, match=r"FastTextKeyedVectors.*save_word2vec_format.*save_facebook_model"):
        import_semantics("fast", tmp_path / "fast.kv")
    vectors = KeyedVectors.load(str(tmp_path / "fast.kv"))
    vectors.save_word2vec_format(str(tmp_path / "vectors.bin"), binary=True)
    import_semantics("fast", tmp_path / "vectors.bin")
    np.testing.assert_array_equal(raw("fast", A="run", B="bike"), [vectors["run"], vectors["bike"]])


def test_whole_models_of_gensim_are_refused_with_a_remedy_that_works(tmp_path):
    from gensim.models import Word2Vec

    Word2Vec([["run", "eye"]] * 9, vector_size=3, min_count=1, workers=1, seed=1).save(str(tmp_path / "w2v.model"))
    with pytest.raises(ZslbenchError, match=r"word2vec\.Word2Vec.*model\.wv\.save_word2vec_format\(\.\.\.\)\.$"):
        import_semantics("w", tmp_path / "w2v.model")
    model = Word2Vec.load(str(tmp_path / "w2v.model"))
    model.wv.save_word2vec_format(str(tmp_path / "vectors.bin"), binary=True)
    import_semantics("w", tmp_path / "vectors.bin")
    np.testing.assert_array_equal(raw("w", A="run"), [model.wv["run"]])


def test_keyed_vectors_without_the_array_beside_them_are_refused(tmp_path):
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(3)
    vectors.add_vectors(["run"], np.array([RUN], dtype=np.float32))
    vectors.save(str(tmp_path / "w.kv"), separately=["vectors"])
    (tmp_path / "w.kv.vectors.npy").unlink()
    with pytest.raises(ZslbenchError, match=r"w\.kv\.vectors\.npy is missing"):
        import_semantics("w", tmp_path / "w.kv")


class Attack:
    """Names gensim's class, then calls a function."""

    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize("held", [Attack(), {"index_to_key": ["run"], "vectors": Attack()}, [Attack()]])
def test_pickles_that_want_to_run_something_are_refused(tmp_path, capsys, held):
    (tmp_path / "w.kv").write_bytes(pickle.dumps(held))
    with pytest.raises(ZslbenchError, match=r"wants (builtins|__builtin__)\.print"):
        import_semantics("w", tmp_path / "w.kv")
    assert "it ran" not in capsys.readouterr().out


def test_a_pickled_dict_of_words_is_read(tmp_path):
    (tmp_path / "glove.pkl").write_bytes(pickle.dumps({"run": np.array(RUN), "eye": EYE, "makeup": np.array(MAKEUP)}))
    import_semantics("w", tmp_path / "glove.pkl")
    assert_words("w")


@pytest.mark.parametrize("held", [("tuple"), ("dict")])
def test_a_pickled_list_of_words_with_a_table_is_read(tmp_path, held):
    words, table = ["run", "eye", "makeup"], np.array([RUN, EYE, MAKEUP])
    both = (words, table) if held == "tuple" else {"words": words, "vectors": table}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(both))
    import_semantics("w", tmp_path / "w.pkl")
    assert_words("w")
    (tmp_path / "two.pkl").write_bytes(pickle.dumps((words, table, 2 * table)))
    with pytest.raises(ZslbenchError, match="several tables"):
        import_semantics("two", tmp_path / "two.pkl")


def write_spacy(folder, words, vectors, mode="default"):
    """Write the files of spaCy's ``Vocab.to_disk``; the hashes of the first two are from its documentation."""
    known = {"coffee": 3197928453018144401, "apple": 8566208034543834098}
    folder.mkdir(parents=True)
    with (folder / "vectors").open("wb") as stream:
        np.save(stream, vectors)
    rows = {known.get(word, spacy_hash(word)): i for i, word in enumerate(words)}
    (folder / "key2row").write_bytes(msgpack.packb(rows))
    (folder / "strings.json").write_text(json.dumps(["", "other", *reversed(words)]))
    (folder / "vectors.cfg").write_text(json.dumps({"mode": mode}))
    return folder


@pytest.mark.parametrize("given", ["model", "model/vocab", "model/vocab/vectors", "."])
def test_spacys_vectors_are_read_without_spacy(tmp_path, given):
    vectors = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)  # more rows than words
    write_spacy(tmp_path / "model" / "vocab", ["coffee", "apple", "Café", "a rather long phrase"], vectors)
    assert import_semantics("spacy", tmp_path / given).n_words == 4
    np.testing.assert_array_equal(raw("spacy", A="apple", B="coffee", C="Café"), vectors[[1, 0, 2]])


def test_spacys_floret_vectors_are_refused(tmp_path):
    folder = write_spacy(tmp_path / "vocab", ["coffee"], np.ones((1, 3), np.float32), mode="floret")
    with pytest.raises(ZslbenchError, match="floret"):
        import_semantics("spacy", folder)


def write_parquet_words(folder, words, vectors, **more):
    folder.mkdir()
    pq.write_table(pa.table({"index": words, **more}), folder / "words.parquet")
    np.save(folder / "vectors.npy", vectors)
    return folder


def test_a_table_beside_a_parquet_of_its_words_is_read(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    folder = write_parquet_words(tmp_path / "glove", ["apple", "coffee", "tea"], vectors, rank=[0, 1, 2])
    assert import_semantics("glove", folder).n_words == 3
    np.testing.assert_array_equal(raw("glove", A="coffee", B="tea", C="apple"), vectors[[1, 2, 0]])


@pytest.mark.parametrize(
    ("words", "more", "message"),
    [
        (["a", "b"], {}, r"array of \(3, 4\), and words.parquet has 2 words"),
        (["a", "b", "c"], {"other": ["d", "e", "f"]}, "one column of words, and has 2"),
        ([1, 2, 3], {}, "one column of words, and has 0"),
    ],
)
def test_a_table_and_words_that_do_not_belong_together_are_refused(tmp_path, words, more, message):
    folder = write_parquet_words(tmp_path / "glove", words, np.ones((3, 4), np.float32), **more)
    with pytest.raises(ZslbenchError, match=message):
        import_semantics("glove", folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZslbenchError, match="key2row"):
        import_semantics("spacy", tmp_path / "empty")


def test_words_that_cover_no_class_are_warned_of_with_three_that_were_looked_up(zslbench, tmp_path):
    (tmp_path / "de.txt").write_text(line("laufen", RUN) + line("auge", EYE))
    code, out, err = zslbench("semantics", "import", "de", tmp_path / "de.txt")
    assert (code, out.splitlines()[0]) == (0, "de: 3-d, 2 words.")
    assert "warning: de covers no class of any dataset: it lacks 'brush', 'hair', 'cartwheel'" in err
    assert "'laufen', 'auge'" in err


def test_one_covered_class_is_enough(tmp_path, fasttext):
    (tmp_path / "w.txt").write_text(line("run", RUN) + line("auge", EYE))
    assert coverage_warning(import_semantics("w", tmp_path / "w.txt")) == ""
    assert coverage_warning(import_semantics("fast", fasttext[0])) == ""
