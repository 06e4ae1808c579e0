"""The word-matrix test: rules, coverage, refusals, and the figures measured on real word vectors."""

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.embeddings.class_embeddings import ClassEmbeddings, from_vectors
from zslbench.errors import CoverageError, NotFoundError, ZslbenchError
from zslbench.semantic_tests.matrices import WordNetRules, compare_with_wordnet, cosine_matrix, wordnet_matrix
from zslbench.semantics.importing import import_semantics


def embeddings(names, vectors):
    return ClassEmbeddings("toy", tuple(names), np.asarray(vectors, dtype=np.float32), np.ones(len(names), dtype=int))


def looked_up(wordnet, dataset="ucf101", **rules):
    return wordnet_matrix(get_dataset(dataset), WordNetRules(**rules), wordnet=wordnet)


def test_a_whole_name_is_one_entry(wordnet):
    found = looked_up(wordnet)
    assert found.terms[found.names.index("BalanceBeam")] == "balance_beam"
    assert "PlayingGuitar" in found.left_out
    assert found.coverage() == "40 of 101 names are in WordNet"
    assert set(found.names) | set(found.left_out) == set(get_dataset("ucf101").classes)


def test_look_up_rules(wordnet):
    single = looked_up(wordnet, look_up="single-word")
    assert "Archery" in single.names
    assert "BalanceBeam" in single.left_out
    first = looked_up(wordnet, look_up="first-word", pos="verb")
    assert first.terms[first.names.index("PlayingGuitar")] == "playing"
    play = [first.names.index(name) for name in ("PlayingGuitar", "PlayingPiano")]
    assert first.matrix[play[0], play[1]] == 1  # one word stands for both


def test_the_most_similar_synsets_bound_the_first_ones(wordnet):
    largest, first = (looked_up(wordnet, synsets=rule) for rule in ("max", "first"))
    both = np.isfinite(first.matrix)
    assert (largest.matrix[both] >= first.matrix[both]).all()
    assert (largest.matrix[both] > first.matrix[both]).any()
    bowling, skiing, biking = (first.names.index(name) for name in ("Bowling", "Skiing", "Biking"))
    expected = wordnet.synset("bowling.n.01").wup_similarity(wordnet.synset("skiing.n.01"))
    assert first.matrix[bowling, skiing] == expected
    assert np.isnan(first.matrix[bowling, biking])  # biking is bicycle.v.01 first of all


def test_undefined_pairs_are_skipped_zero_or_under_one_root(wordnet):
    skip, zero, root = (looked_up(wordnet, undefined=rule).matrix for rule in ("skip", "zero", "root"))
    gone = np.isnan(skip)
    assert 0 < gone.sum() < gone.size / 2
    assert (zero[gone] == 0).all()
    assert ((root[gone] > 0) & (root[gone] < 0.5)).all()
    np.testing.assert_array_equal(zero[~gone], skip[~gone])
    assert (root[~gone] >= skip[~gone]).all()


def test_the_edits_change_what_is_looked_up(wordnet):
    assert "CleanAndJerk" in looked_up(wordnet, edits="plain").names
    edited = looked_up(wordnet, edits="action2vec-v1")
    assert dict(zip(edited.names, edited.terms, strict=True)).get("CleanAndJerk") == "weightlift"
    with pytest.raises(NotFoundError, match="name-edit table"):
        looked_up(wordnet, edits="none")


def test_only_the_named_classes_are_looked_up(wordnet):
    names = ("WalkingWithDog", "Archery", "Basketball", "Biking")
    found = wordnet_matrix(get_dataset("ucf101"), names=names, wordnet=wordnet)
    assert (found.names, found.left_out) == (names[1:], names[:1])


@pytest.mark.parametrize(
    ("names", "sentence"), [(["ApplyLipstick", "PlayingDhol"], "none of the 2 class names"), (["Biking"], "1 of the 1")]
)
def test_fewer_than_three_names_are_refused(wordnet, names, sentence):
    with pytest.raises(ZslbenchError, match=f"{sentence}.*need 3; look names up"):
        wordnet_matrix(get_dataset("ucf101"), names=names, wordnet=wordnet)


def test_embeddings_in_any_order_are_matched_by_name(wordnet):
    matrix = looked_up(wordnet)
    vectors = np.random.default_rng(0).normal(size=(101, 7))
    names = get_dataset("ucf101").classes
    first = compare_with_wordnet(matrix, embeddings(names, vectors), permutations=20)
    turned = compare_with_wordnet(matrix, embeddings(names[::-1], 3 * vectors[::-1]), permutations=20)
    np.testing.assert_allclose(turned.cosines, first.cosines, atol=1e-6)
    assert turned.correlation.rho == pytest.approx(first.correlation.rho)


def test_cosines_are_those_of_numpy():
    vectors = [[3, 0], [1, 1], [-2, 0]]
    found = cosine_matrix(embeddings("abc", vectors), ("c", "a", "b"))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(found, [[1, -1, -half], [-1, 1, half], [-half, half, 1]], atol=1e-7)


def test_embeddings_without_a_cosine_are_refused():
    given = embeddings("abc", [[1, 0], [0, 0], [np.nan, 1]])
    for name in "bc":
        with pytest.raises(ZslbenchError, match=f"embedding of {name} in toy is zero or not finite"):
            cosine_matrix(given, ("a", name))
    with pytest.raises(CoverageError, match="no embedding of d"):
        cosine_matrix(given, ("a", "d"))


def test_a_matrix_whose_rows_have_too_few_pairs_is_refused(wordnet):
    matrix = wordnet_matrix(get_dataset("ucf101"), names=["Archery", "Basketball", "Biking"], wordnet=wordnet)
    with pytest.raises(ZslbenchError, match="no class of ucf101 has 3 or more defined pairs"):
        compare_with_wordnet(matrix, embeddings(matrix.names, np.eye(3)))


@pytest.mark.real
@pytest.mark.parametrize(
    ("dataset", "rules", "covered", "with_diagonal", "without"),
    [
        # The paper prints 0.2292 for UCF101's word2vec: reached with the diagonal.
        ("ucf101", {}, 40, 0.2294, 0.1520),
        ("ucf101", {"synsets": "first"}, 40, 0.2490, 0.1138),
        ("ucf101", {"undefined": "root"}, 40, 0.1696, 0.1038),
        ("ucf101", {"pos": "noun"}, 34, 0.2561, 0.1858),
        ("ucf101", {"pos": "verb"}, 20, 0.0788, -0.0805),
        ("ucf101", {"look_up": "single-word", "undefined": "root"}, 21, 0.3682, 0.2674),
        ("hmdb51", {}, 36, 0.1593, 0.0824),
        ("hmdb51", {"synsets": "first"}, 36, 0.2674, None),  # four rows have three pairs without the diagonal
        ("hmdb51", {"look_up": "first-word", "pos": "verb"}, 44, 0.2439, 0.1876),
    ],
)
def test_figures_measured_independently_on_xus_word_vectors(
    wordnet, shared_data, dataset, rules, covered, with_diagonal, without
):
    import_semantics("word2vec-xu", shared_data / "xu-ijcv17" / "Label.mat")
    vectors = from_vectors("word2vec-xu", get_dataset(dataset))
    for diagonal, expected in ((True, with_diagonal), (False, without)):
        matrix = looked_up(wordnet, dataset, diagonal=diagonal, **rules)
        assert len(matrix.names) == covered
        found = compare_with_wordnet(matrix, vectors, permutations=0).correlation
        if expected is not None:
            assert found.rho == pytest.approx(expected, abs=5e-5)
