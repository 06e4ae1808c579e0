"""Small feature sets of any provenance and finished cells on them, for tests of the audit."""

import json

from fakes import fake_record
from tiny import make_features

from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import open_features

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
