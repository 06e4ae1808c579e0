import numpy as np
from tiny import make_features

from zslbench.datasets.catalog import get_dataset
from zslbench.embeddings.class_embeddings import from_features, from_vectors
from zslbench.semantics.class_vectors import open_semantics

CLASSES = ("wave", "brush_hair", "climb")


def test_features_give_each_class_the_mean_of_its_videos_means_and_leave_empty_classes_out():
    features = make_features(classes=CLASSES)
    found = from_features(features)
    assert found.names == ("brush_hair", "climb", "wave")  # the dataset's order
    assert found.counts.tolist() == [6, 6, 6]
    assert found.seen is None
    for name, vector in zip(found.names, found.vectors, strict=True):
        rows = [i for i, label in enumerate(features.labels) if features.dataset.classes[label] == name]
        expected = np.mean([features.store.gather(np.array([i])).mean(axis=0, dtype=np.float64) for i in rows], axis=0)
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6)


def test_class_vectors_are_taken_as_they_are():
    dataset = get_dataset("hmdb51")
    found = from_vectors("minilm", dataset, CLASSES)
    assert found.names == CLASSES
    assert found.counts.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(found.vectors, open_semantics("minilm", dataset, CLASSES).vectors)
    assert len(from_vectors("minilm", dataset)) == 51
