"""All four semantic tests of Action2Vec on 400 classes and 20,000 embedded videos, WordNet loading included."""

import numpy as np
import pytest
from wordnet_here import wordnet_path  # noqa: F401 - fixture

from zslbench.datasets.catalog import get_dataset
from zslbench.embeddings.class_embeddings import ClassEmbeddings, from_vectors
from zslbench.semantic_tests.analogies import choose_groups, nouns_of
from zslbench.semantic_tests.arithmetic import noun_vectors, vector_arithmetic
from zslbench.semantic_tests.matrices import WordNetRules, compare_with_wordnet, wordnet_matrix

VIDEOS = 20_000


def class_means(title, names, videos, labels):
    means = np.stack([videos[labels == label].mean(axis=0) for label in range(len(names))])
    return ClassEmbeddings(title, names, means.astype(np.float32), np.bincount(labels), None)


@pytest.mark.slow
def test_four_semantic_tests(benchmark, wordnet_path):  # noqa: F811
    dataset = get_dataset("kinetics400")
    vectors = from_vectors("minilm", dataset)
    rng = np.random.default_rng(0)
    labels = np.arange(VIDEOS) % len(dataset.classes)
    embedded = vectors.vectors[labels] + 0.05 * rng.normal(size=(VIDEOS, vectors.vectors.shape[1]))
    pooled = rng.normal(size=(VIDEOS, 512))

    def all_four():
        method = class_means("method", dataset.classes, embedded, labels)
        features = class_means("pooled", dataset.classes, pooled, labels)
        # The first word of a name, as a verb: 353 names, most of them with many senses.
        matrix = wordnet_matrix(dataset, WordNetRules(look_up="first-word", pos="verb"))
        found = [compare_with_wordnet(matrix, each, permutations=999, seed=0) for each in (vectors, features, method)]
        _, groups = choose_groups(dataset)
        return matrix, found, vector_arithmetic(method, groups, noun_vectors("minilm", dataset, nouns_of(groups)))

    matrix, found, arithmetic = benchmark.pedantic(all_four, rounds=1)
    assert len(matrix.names) > 300
    assert len(found) == 3
    benchmark.extra_info |= {
        "classes": 400, "videos": VIDEOS, "names_in_wordnet": len(matrix.names),
        "pairs": arithmetic.outcome("euclidean", exclude_source=True).correct.size, "wanted": "under 60 s on 2 cores",
    }  # fmt: skip
