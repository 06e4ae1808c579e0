"""The Wu-Palmer matrix of Kinetics' names against a double loop over NLTK's wup_similarity; Mantel's test."""

import time

import numpy as np
import pytest
from wordnet_here import wordnet, wordnet_path  # noqa: F401 - fixtures

from zslbench.datasets.catalog import get_dataset
from zslbench.semantic_tests._mantel import correlate_rows
from zslbench.semantic_tests._wupalmer import sense_similarities

# NLTK takes some twenty minutes for all rows: its loop runs over so many of them, evenly spaced, with all columns, and
# its time is scaled up by their share of the synset pairs.
REFERENCE_ROWS = 8


def first_verbs(reader):
    """The verb synsets of the first word of each Kinetics-400 name that has any, names in the dataset's order."""
    dataset = get_dataset("kinetics400")
    found = [reader.synsets(dataset.phrase(name).split()[0], "v") for name in dataset.classes]
    return [synsets for synsets in found if synsets]


@pytest.mark.slow
def test_wu_palmer_matrix(benchmark, wordnet):  # noqa: F811
    senses = first_verbs(wordnet)
    matrix = benchmark.pedantic(sense_similarities, args=(senses,), rounds=3)
    rows = range(0, len(senses), len(senses) // REFERENCE_ROWS)
    start = time.perf_counter()
    for i in rows:
        expected = [max(a.wup_similarity(b) for a in senses[i] for b in other) for other in senses]
        np.testing.assert_allclose(matrix[i], expected, rtol=0, atol=1e-12)
    share = sum(len(senses[i]) for i in rows) / sum(len(synsets) for synsets in senses)
    theirs = (time.perf_counter() - start) / share
    mine = benchmark.stats.stats.mean
    benchmark.extra_info |= {
        "names": len(senses), "seconds": mine, "nltk_seconds": theirs, "of_which_run": share, "ratio": theirs / mine,
        "wanted": "a ratio of 20 or more",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("undefined", [0, 0.3])
def test_mantel_of_400_classes(benchmark, undefined):
    rng = np.random.default_rng(0)
    reference, other = rng.random((2, 400, 400))
    reference[rng.random((400, 400)) < undefined] = np.nan
    found = benchmark.pedantic(correlate_rows, args=(reference, other), kwargs={"permutations": 999}, rounds=1)
    assert found.n_rows == 400
    benchmark.extra_info |= {"permutations": 999, "wanted": "a few seconds"}
