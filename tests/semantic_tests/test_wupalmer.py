"""Wu-Palmer similarities of many synsets against NLTK's, pair by pair."""

import random

import numpy as np
import pytest

from zslbench.semantic_tests._wupalmer import sense_similarities, synset_similarities


def nltk_similarities(synsets):
    """NLTK's own double loop; ``None`` becomes NaN."""
    return np.array([[one.wup_similarity(other) for other in synsets] for one in synsets], dtype=float)


def some_synsets(wordnet, pos, n, n_above):
    """Random synsets and some of what is above them: pairs where one subsumes the other are the delicate ones."""
    rng = random.Random(pos)
    words = rng.sample(sorted(wordnet.all_lemma_names(pos)), n)  # all_synsets() would read the whole of WordNet
    chosen = [rng.choice(wordnet.synsets(word, pos)) for word in words]
    above = {up for synset in chosen for path in synset.hypernym_paths() for up in path}
    return list(dict.fromkeys([*chosen, *rng.sample(sorted(above), min(n_above, len(above)))]))


@pytest.mark.parametrize("pos", ["n", "v", "a", "r"])
def test_every_ordered_pair_equals_nltks(wordnet, pos):
    synsets = some_synsets(wordnet, pos, 20, 30)
    np.testing.assert_allclose(synset_similarities(synsets), nltk_similarities(synsets), rtol=0, atol=1e-12)


def test_synsets_with_several_hypernyms_equal_nltks(wordnet):
    words = random.Random(0).sample(sorted(wordnet.all_lemma_names("n")), 3000)
    several = [synset for word in words for synset in wordnet.synsets(word, "n") if len(synset.hypernyms()) > 1]
    synsets = list(dict.fromkeys(several))[:25]
    assert len(synsets) == 25
    np.testing.assert_allclose(synset_similarities(synsets), nltk_similarities(synsets), rtol=0, atol=1e-12)


def test_the_order_of_the_arguments_matters_where_a_synset_ties_with_the_simulated_root(wordnet):
    travel, run = wordnet.synset("travel.v.01"), wordnet.synset("run.v.01")
    found = synset_similarities([travel, run])
    assert found[0, 1] == travel.wup_similarity(run) == 1 / 2
    assert found[1, 0] == run.wup_similarity(travel) == 1 / 3


def test_hand_computed_verbs(wordnet):
    # walk and travel: travel has no hypernym, walk is one step below it; travel is 1 node deep: 2 * 1 / (1 + 2 * 1).
    walk, travel = wordnet.synset("walk.v.01"), wordnet.synset("travel.v.01")
    assert walk.hypernyms() == [travel]
    assert synset_similarities([travel, walk])[0, 1] == 2 / 3


def test_no_synsets_give_an_empty_matrix():
    assert synset_similarities([]).shape == (0, 0)
    assert sense_similarities([]).shape == (0, 0)


def words_by_loop(senses, across):
    """The definition: the largest similarity over pairs of synsets, of one part of speech or of any."""

    def largest(one, other):
        found = [
            a.wup_similarity(b)
            for a in one
            for b in other
            if across or a.pos().replace("s", "a") == b.pos().replace("s", "a")
        ]
        return max((value for value in found if value is not None), default=np.nan)

    return np.array([[largest(one, other) for other in senses] for one in senses], dtype=float)


WORDS = [
    "walk",
    "run",
    "archery",
    "fencing",
    "quick",
    "laughing",
    "slowly",
    "balance_beam",
    "eat",
    "eat",
    "archery",
    "good",
]


@pytest.mark.parametrize("across", [False, True])
def test_names_take_the_largest_over_pairs_of_synsets(wordnet, across):
    senses = [wordnet.synsets(word) for word in WORDS]
    expected = words_by_loop(senses, across)
    assert np.isnan(expected).any() != across
    np.testing.assert_allclose(sense_similarities(senses, across=across), expected, rtol=0, atol=1e-12)


def test_a_name_without_synsets_is_undefined_everywhere(wordnet):
    found = sense_similarities([wordnet.synsets("walk"), [], wordnet.synsets("run")])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[[0, 0, 2, 2], [0, 2, 0, 2]]).all()
