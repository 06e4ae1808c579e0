"""Small feature sets of any provenance and finished cells on them, for tests of the audit."""

import json

import numpy as np
from fakes import fake_record
from tiny import make_features

from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import new_directory

CLASSES = ("chew", "fencing", "golf", "jump", "pick", "pour", "shoot_bow", "talk")


def features_with(dataset="hmdb51", name="tiny", *, classes=CLASSES, **provenance):
    """Write a small feature set and give its manifest another provenance."""
    made = make_features(dataset, name, classes=classes, groups=provenance.pop("groups", True))
    path = made.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | provenance))
    return open_features(get_dataset(dataset), name)


def record(features, *, split=0, unseen=("fencing", "pick"), others=(), **more):
    """Return a finished cell on a feature set whose unseen classes are these."""
    names = (*unseen, *others)
    cell = {"features": features.manifest.name, "features_digest": features.manifest.digest,
            "family": "random-50/50", "family_digest": "f"}  # fmt: skip
    values = {"names": names, "scored": (6,) * len(names), "top1": (3,) * len(names),
              "unseen": (True,) * len(unseen) + (False,) * len(others)}  # fmt: skip
    return fake_record(split=split, **(cell | values | more))


def written(frames, dataset="hmdb51", name="written", **provenance):
    """Write a feature set of (video id, class, frames) and return it."""
    found = get_dataset(dataset)
    facts = {"extractor": "test", "trained_on": ("nothing",)} | provenance
    with new_directory(feature_path(dataset, name)) as folder:
        writer = FeatureWriter(folder, frames[0][2].shape[1], "float32")
        for video, label, rows in frames:
            writer.append([video], [label], [video], [""], np.array([len(rows)]), rows)
        writer.finish(dataset=dataset, name=name, classes_digest=found.digest, kind="sequences", **facts)
    return open_features(found, name)


def unrelated(classes=CLASSES, *, per_class=6, dim=16, seed=0):
    """Return (video id, class, frames) of videos that have nothing in common, three frames each."""
    rng = np.random.default_rng(seed)
    return [
        (f"{name}_{i}", name, rng.normal(size=(3, dim)).astype(np.float32))
        for name in classes
        for i in range(per_class)
    ]
