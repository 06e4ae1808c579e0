"""A tiny feature set of a real dataset, in the data root of the test."""

import numpy as np

from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import new_directory
from zslbench.semantics.class_vectors import open_semantics


def make_features(
    dataset="hmdb51", name="tiny", *, per_class=6, classes=None, dim=16, noise=0.3, seed=0, official=False, groups=True,
    extractor="test", trained_on=("nothing",), pooled=False,
    weights_digest=None,
):  # fmt: skip
    """Write features that are a noisy linear map of the class vectors, two to four frames a video, or one."""
    dataset = get_dataset(dataset)
    names = list(classes or dataset.classes)
    rng = np.random.default_rng(seed)
    vectors = open_semantics("minilm", dataset, names).vectors
    means = vectors @ rng.normal(size=(vectors.shape[1], dim))
    with new_directory(feature_path(dataset.name, name)) as folder:
        writer = FeatureWriter(folder, dim, "float32")
        for mean, class_name in zip(means, names, strict=True):
            lengths = np.ones(per_class, dtype=int) if pooled else rng.integers(2, 5, size=per_class)
            frames = mean + noise * rng.normal(size=(lengths.sum(), dim))
            ids = [f"{class_name}_{i}" for i in range(per_class)]
            lists = [("test" if i < per_class // 3 else "train") if official else "" for i in range(per_class)]
            group = [f"g{i // 2}" if groups else "" for i in range(per_class)]
            writer.append(ids, [class_name] * per_class, group, lists, lengths, frames)
        writer.finish(
            dataset=dataset.name, name=name, classes_digest=dataset.digest, kind="pooled" if pooled else "sequences",
            extractor=extractor, trained_on=trained_on, weights_digest=weights_digest,
        )  # fmt: skip
    return open_features(dataset, name)


def plan(**settings):
    """Return the cells of a small experiment on the tiny features."""
    from zslbench.run.experiment import make_experiment
    from zslbench.run.plan import make_plan

    defaults = {"dataset": "hmdb51", "features": "tiny", "splits": "2"}
    return make_plan(make_experiment(defaults | settings)).cells
