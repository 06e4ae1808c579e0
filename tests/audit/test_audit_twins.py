"""Copies of videos in the audit: a leak between seen and unseen classes, else a warning."""

import numpy as np
import pytest
from audited import record, unrelated, written

from zslbench.audit.audit import audit_features, audit_records, marks, refuse
from zslbench.errors import ZslbenchError
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan


def one(findings, code):
    (found,) = [finding for finding in findings if finding.code == code]
    return found


def codes(findings):
    return {finding.code for finding in findings}


def with_copy(into="golf", change=lambda rows: rows, **more):
    """Return features in which a video of fencing is also one of another class."""
    videos = unrelated()
    rows = next(rows for name, _, rows in videos if name == "fencing_0")
    return written([*videos, ("renamed", into, change(rows))], **more)


def noisy(size):
    return lambda rows: rows + size * np.random.default_rng(5).normal(size=rows.shape).astype(np.float32)


def audited(features, **cell):
    return audit_records([record(features, **cell)])


def test_an_unseen_video_renamed_as_a_seen_one_is_a_leak():
    found = one(audited(with_copy()), "L7")
    assert found.classes == ("fencing",)
    assert found.evidence[:2] == (
        "1 videos with the same rows, 0 nearly the same (cosine of at least 0.999)",
        "1 of 12 or more unseen videos in its one split",
    )
    assert "fencing_0 (fencing) and renamed (golf): same rows" in found.evidence


@pytest.mark.parametrize("change", [noisy(0.01), lambda rows: rows[::-1], lambda rows: rows.astype(np.float16)])
def test_a_noisy_rounded_or_reordered_copy_is_a_leak_too(change):
    assert one(audited(with_copy(change=change)), "L7").classes == ("fencing",)


@pytest.mark.parametrize("factor", [0.01, 7])
def test_a_scaled_copy_is_a_leak_also_among_features_with_a_large_mean(factor):
    videos = [(name, label, rows + 5) for name, label, rows in unrelated()]
    copy = next(rows for name, _, rows in videos if name == "fencing_0")
    features = written([*videos, ("renamed", "golf", factor * copy)], name=f"scaled{factor:g}".replace(".", ""))
    assert one(audited(features), "L7").classes == ("fencing",)


def test_a_near_video_is_a_warning_and_a_farther_one_nothing():
    found = audited(with_copy(change=noisy(0.05)))
    assert "L7" not in codes(found)
    assert "0 videos with the same rows, 2 nearly the same (cosine of at least 0.995)" in one(found, "W14").evidence
    assert not {"L7", "W14"} & codes(audited(with_copy(change=noisy(0.3), name="far")))


def test_a_copy_between_two_unseen_or_two_seen_classes_is_a_warning():
    """It is in the wrong class for one of them, but nothing that is tested was trained on."""
    for cell in ({"unseen": ("fencing", "golf")}, {"unseen": ("pick", "pour")}):
        found = audited(with_copy(name=f"n{len(cell['unseen'][0])}"), **cell)
        assert "L7" not in codes(found)
        assert "1 of" not in one(found, "W14").evidence[0]


def test_copies_within_a_class_are_no_finding():
    assert not {"L7", "W14", "W15"} & codes(audited(with_copy("fencing")))


def test_a_feature_set_of_equal_videos_is_said_to_be_broken():
    videos = [(name, label, np.ones((2, 4), dtype=np.float32)) for name, label, _ in unrelated()]
    assert "48 of 48 videos have the same rows" in one(audit_features(written(videos)), "W15").evidence


def test_strict_refuses_what_the_audit_before_a_run_finds():
    features = with_copy()
    assert "L7" in codes(audit_features(features))
    settings = {"method": "ridge", "dataset": "hmdb51", "features": "written", "splits": "all"}
    with pytest.raises(ZslbenchError, match=r"L7 .*2 videos with the same rows.*fencing"):
        refuse(make_plan(make_experiment(settings)))


def test_the_leaderboard_marks_it_once_it_was_searched_for():
    made = [record(with_copy())]
    assert marks(made) == {}
    audit_records(made)
    assert list(marks(made).values()) == [("L7",)]


def two_datasets(label):
    """Return features of two datasets that share a video: fencing in one, ``label`` in the other."""
    ours = written(unrelated())
    theirs = unrelated(("Fencing", "YoYo", "Typing"), seed=1)
    theirs.append(("renamed", label, ours.store.gather(np.array([ours.ids.index("fencing_0")]))))
    return ours, written(theirs, "ucf101")


def test_an_unseen_video_among_the_auxiliary_ones_is_a_leak():
    from zslbench.cells.cell import Auxiliary

    ours, theirs = two_datasets("YoYo")
    auxiliary = Auxiliary(dataset="ucf101", features="written", features_digest=theirs.manifest.digest,
                          semantics_digest="s")  # fmt: skip
    found = one(audited(ours, auxiliary=auxiliary), "L7")
    assert "fencing_0 (fencing) and renamed (YoYo): same rows" in found.evidence
    assert "also train on ucf101@written" in found.concerns
    assert "L7" not in codes(audited(ours, auxiliary=auxiliary, unseen=("pick", "pour")))


def test_a_copy_in_an_auxiliary_class_that_is_left_out_is_no_leak():
    from zslbench.cells.cell import Auxiliary

    ours, theirs = two_datasets("Fencing")
    auxiliary = Auxiliary(dataset="ucf101", features="written", features_digest=theirs.manifest.digest,
                          semantics_digest="s")  # fmt: skip
    assert not {"L7", "W14"} & codes(audited(ours, auxiliary=auxiliary))


def test_an_unseen_video_among_those_of_another_seen_dataset_is_a_leak():
    from zslbench.datasets.split_files import write_imported
    from zslbench.datasets.splits import Split, SplitFamily

    ours, theirs = two_datasets("YoYo")
    for name, seen, leaks in (("with", ("YoYo", "Typing"), True), ("without", ("Typing",), False)):
        split = Split(seen, ("fencing", "pick"), seen_dataset="ucf101")
        family = SplitFamily(name, "hmdb51", (split,), "this test")
        write_imported([family])
        cell = {"family": name, "family_digest": family.digest, "split_digest": split.digest,
                "seen_dataset": "ucf101", "seen_features_digest": theirs.manifest.digest}  # fmt: skip
        assert ("L7" in codes(audited(ours, **cell))) is leaks


def test_a_copy_in_another_class_is_no_leak_of_an_untrained_method_whose_splits_train_on_another_dataset():
    from zslbench.cells.source import source_digest
    from zslbench.datasets.split_files import write_imported
    from zslbench.datasets.splits import Split, SplitFamily
    from zslbench.registry import get_method

    features = with_copy()
    split = Split(("YoYo",), ("fencing", "pick"), seen_dataset="ucf101")
    write_imported([family := SplitFamily("across", "hmdb51", (split,), "this test")])
    code = source_digest(get_method("nearest-text"))
    cell = {"family": "across", "family_digest": family.digest, "split_digest": split.digest, "seen_dataset": "ucf101",
            "method": "nearest-text", "method_digest": code, "params": {}}  # fmt: skip
    assert "L7" not in codes(audited(features, **cell))
    assert "L7" in codes(audited(features, **cell | {"seen_dataset": None, "family": "random-50/50"}))


@pytest.mark.real
@pytest.mark.parametrize(("folder", "least"), [("ucf101-vgg16-15c", 0.757), ("utd-mhad", 0.9945)])
def test_no_two_real_videos_of_different_classes_reach_the_threshold(shared_data, folder, least):
    """The evidence for the thresholds: the greatest cosine between classes is below them."""
    import csv

    from zslbench.features.twins import COPY, search
    from zslbench.videos import Videos, storage

    (path,) = (shared_data / folder).glob("*.npy")
    with (shared_data / folder / "videos.csv").open() as stream:
        labels = np.unique([row["class"] for row in csv.DictReader(stream)], return_inverse=True)[1]
    found = search(storage(Videos.from_arrays(np.load(path))).store, labels)
    assert (found.cosines < COPY).all()
    assert found.cosines.max(initial=0) < least
