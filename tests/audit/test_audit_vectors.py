"""Class vectors that come from the videos that are tested: a leak if equal, a warning if near, else nothing."""

from pathlib import Path

import numpy as np
import pytest
from audited import record, written

from zslbench.audit.audit import audit_features, audit_records, marks, refuse
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.likeness import find_likeness, likeness
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.importing import import_classes

CLASSES = get_dataset("hmdb51").classes[:24]


@pytest.fixture
def features():
    """24 classes of five videos each: a direction per class, and as much noise."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(len(CLASSES), 6)) @ rng.normal(size=(6, 32)) + 2
    rows = [(f"{name}_{i}", name, (base[c] + rng.normal(size=(3, 32))).astype(np.float32))
            for c, name in enumerate(CLASSES) for i in range(5)]  # fmt: skip
    return written(rows)


def means(features):
    x = features.store.pooled()
    return np.array([x[features.labels == features.dataset.label_of[name]].mean(axis=0) for name in CLASSES])


def honest(dim=32):
    """Vectors of MiniLM, turned and cut to a number of values."""
    vectors = open_semantics("minilm", get_dataset("hmdb51"), CLASSES).vectors
    return vectors @ np.linalg.qr(np.random.default_rng(3).normal(size=(vectors.shape[1], dim)))[0]


def imported(vectors, name="given"):
    import_classes(name, Path("given.npz"), {"hmdb51": (list(CLASSES), np.asarray(vectors, dtype=np.float32))})
    return name


def audited(features, name, unseen=CLASSES):
    return audit_records([record(features, unseen=unseen, semantics=name, top1=(3,) * len(unseen),
                                 scored=(5,) * len(unseen))])  # fmt: skip


def codes(findings):
    return {finding.code for finding in findings} & {"L8", "W16"}


def one(findings, code):
    (found,) = [finding for finding in findings if finding.code == code]
    return found


def turned(x):
    return (x - x.mean(axis=0)) @ np.linalg.qr(np.random.default_rng(1).normal(size=(x.shape[1],) * 2))[0]


EXACT = {"mean": lambda m: m, "scaled": lambda m: 7 * m, "centred": lambda m: m - m.mean(axis=0), "turned": turned}
NEAR = {
    "noisy": lambda m: m + 0.3 * np.random.default_rng(2).normal(size=m.shape),
    "projected": lambda m: m @ np.random.default_rng(2).normal(size=(32, 10)),
    "bent": lambda m: np.tanh(turned(m) / 2),
}


@pytest.mark.parametrize("change", EXACT.values(), ids=EXACT)
def test_class_means_as_vectors_are_a_leak_whatever_their_scale_or_axes(features, change):
    found = one(audited(features, imported(change(means(features)))), "L8")
    assert found.severity == "leak"
    assert set(found.classes) == set(CLASSES)


def test_one_video_as_vector_is_a_leak(features):
    x = features.store.pooled()
    picked = [np.flatnonzero(features.labels == features.dataset.label_of[name])[2] for name in CLASSES]
    assert "24 of 24 unseen classes" in one(audited(features, imported(x[picked])), "L8").evidence[0]


@pytest.mark.parametrize("change", NEAR.values(), ids=NEAR)
def test_vectors_that_are_nearly_a_function_of_the_means_are_a_warning(features, change):
    assert codes(audited(features, imported(change(means(features))))) == {"W16"}


@pytest.mark.parametrize("vectors", [honest(), honest(20), np.random.default_rng(0).normal(size=(24, 32))])
def test_honest_and_random_vectors_are_no_finding(features, vectors):
    assert codes(audited(features, imported(vectors))) == set()


def test_one_unseen_class_is_found_among_honest_ones_and_a_seen_class_is_no_finding(features):
    vectors = honest()
    vectors[7] = means(features)[7]
    name = imported(vectors)
    found = one(audited(features, name), "L8")
    assert found.classes == (CLASSES[7],)
    assert "1 of 24 unseen classes have as vector" in found.evidence[0]
    assert codes(audited(features, name, unseen=CLASSES[:7])) == set()


def test_a_map_that_predicts_the_vectors_is_compared_with_shuffled_ones(features):
    lines = one(audited(features, imported(NEAR["projected"](means(features)))), "W16").evidence
    (line,) = [line for line in lines if "a linear map" in line]
    assert "of shuffled vectors at most" in line


def test_features_alone_are_compared_with_imported_vectors(features):
    imported(means(features))
    assert codes(audit_features(features)) == {"L8"}


def test_strict_refuses_and_the_leaderboard_marks_it_once_it_was_compared(features):
    name = imported(means(features))
    cell = record(features, unseen=CLASSES, semantics=name, top1=(3,) * 24, scored=(5,) * 24)
    assert marks([cell]) == {}
    settings = {"method": "ridge", "dataset": "hmdb51", "features": "written", "splits": "1", "semantics": name,
                "family": "random-50/50"}  # fmt: skip
    with pytest.raises(ZslbenchError, match="L8 class vectors were made from videos"):
        refuse(make_plan(make_experiment(settings)))
    audit_records([cell])
    assert list(marks([cell]).values()) == [("L8",)]


def test_vectors_that_were_replaced_since_are_not_held_against_old_results(features):
    name = imported(means(features))
    family = features.dataset.family("random-50/50", features.covered)
    old = {"family": family.name, "family_digest": family.digest, "semantics": name}
    assert codes(audit_records([record(features, unseen=CLASSES[:4], **old, semantics_digest="of others")])) == set()


def test_a_damaged_stored_comparison_is_made_again(features):
    vectors = open_semantics(imported(means(features)), features.dataset, CLASSES)
    find_likeness(features, vectors)
    (stored,) = features.path.glob("likeness-*.npz")
    stored.write_bytes(b"no comparison")
    assert find_likeness(features, vectors, search_now=False) is None
    assert find_likeness(features, vectors).equal.all()


@pytest.mark.real
def test_real_vectors_from_words_are_no_finding_and_means_in_other_axes_are(shared_data):
    """The evidence for the thresholds on all of UCF101."""
    import csv

    dataset = get_dataset("ucf101")
    with (shared_data / "ucf101-captions" / "videos.csv").open() as stream:
        owner = np.array([dataset.label_of[row["class"]] for row in csv.DictReader(stream)])
    x = np.load(shared_data / "ucf101-captions" / "features.npy").mean(axis=1, dtype=np.float32)
    everything = np.ones(101, dtype=bool)
    for source in dataset.vectors:
        found = likeness(dataset.classes, x, owner, open_semantics(source, dataset).vectors.astype(float))
        assert found.cosine.max() < 0.85
        assert found.geometry(everything) < 0.65
        assert found.predicted(everything)[0] < 0.3
    means = np.array([x[owner == c].mean(axis=0) for c in range(101)], dtype=float)
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(384, 384)))[0]
    assert likeness(dataset.classes, x, owner, means @ axes).geometry(everything) > 0.999
    mapped = likeness(dataset.classes, x, owner, means @ random.normal(size=(384, 10)))
    assert mapped.predicted(everything)[0] > 0.8
