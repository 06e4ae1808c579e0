"""A method on several feature sets: each is fitted by itself, and the standardised scores are added up."""

import math

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.audit.inputs import Inputs, check_inputs, family_of
from zslbench.cells.cell import Cell
from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import derive_features, open_features
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import new_directory
from zslbench.method import Report
from zslbench.proof.verify import verify
from zslbench.rescoring.dependence import dependence
from zslbench.run.ensemble import combined, standardised
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.runner import fitted_model, run_cell
from zslbench.run.trained import trains
from zslbench.tune.folds import seen_folds

HMDB51 = get_dataset("hmdb51")


def copied(name, source, order=None, spelled="{}", classes=None):
    """Store the videos of a feature set again under another name, in another order, with other ids or classes."""
    order = np.arange(len(source.ids)) if order is None else order
    with new_directory(feature_path("hmdb51", name)) as folder:
        writer = FeatureWriter(folder, source.manifest.dim, "float32")
        for i in order.tolist():
            label = (classes or {}).get(source.ids[i], HMDB51.classes[source.labels[i]])
            frames = source.store.gather(np.array([i]))
            names = [spelled.format(source.ids[i])], [label], [source.groups[i]], [source.official[i]]
            writer.append(*names, np.array([len(frames)]), frames)
        writer.finish(dataset="hmdb51", name=name, classes_digest=HMDB51.digest, kind="sequences", extractor="test")
    return open_features(HMDB51, name)


def two_sets(**more):
    return make_features(name="a", noise=3, **more), make_features(name="b", dim=24, noise=3, seed=1, **more)


def outcome_of(features, method="ridge", **settings):
    (cell,) = plan(method=method, features=features, splits="1", **settings)
    return evaluate(cell, Report())


def by_video(outcome):
    videos = outcome.predictions["video"].to_pylist()
    return dict(zip(videos, outcome.scores.tolist(), strict=True))


def loop(rows):
    """Return the sum of each set's scores of one video, less their mean and over their sd, with plain floats."""
    total = [0.0] * len(rows[0])
    for row in rows:
        offered = [score for score in row if math.isfinite(score)]
        mean = sum(offered) / len(offered)
        sd = math.sqrt(sum((score - mean) ** 2 for score in offered) / len(offered))
        total = [t + (score - mean) / (sd or 1) for t, score in zip(total, row, strict=True)]
    return total


@pytest.mark.parametrize(
    ("method", "protocol"),
    [("ridge", "zsl"), ("ridge+csls", "zsl"), ("ridge+nrm", "zsl"), ("ridge", "gzsl"), ("ridge", "few-shot"),
     ("linear-probe", "supervised"), ("ridge", "base-to-novel")],
)  # fmt: skip
def test_the_scores_are_those_of_a_loop_over_the_two_single_runs(method, protocol):
    two_sets(official=True)
    more = {"shots": 3} if protocol in ("few-shot", "base-to-novel") else {}
    both, *single = (outcome_of(f, method, protocol=protocol, **more) for f in ("b+a", "a", "b"))
    ours, (one, other) = by_video(both), map(by_video, single)
    assert ours.keys() == one.keys() == other.keys()
    for video, row in ours.items():
        np.testing.assert_allclose(row, loop([one[video], other[video]]), rtol=1e-9, atol=1e-9)
    assert both.scores.argmax(axis=1).tolist() != single[0].scores.argmax(axis=1).tolist()


def test_three_sets_are_added_up_too():
    two_sets()
    make_features(name="c", dim=8, noise=3, seed=2)
    ours, *single = (by_video(outcome_of(features)) for features in ("c+a+b", "a", "b", "c"))
    for video, row in ours.items():
        np.testing.assert_allclose(row, loop([each[video] for each in single]), rtol=1e-9, atol=1e-9)


def test_an_infinite_score_of_a_class_that_is_not_offered_stays_so():
    scores = np.array([[1.0, 2.0, -np.inf], [5.0, 5.0, 5.0]])
    assert standardised(scores).tolist() == [[-1.0, 1.0, -np.inf], [0.0, 0.0, 0.0]]


def test_other_test_videos_have_no_say_in_a_videos_scores():
    rng = np.random.default_rng(0)
    one, other, ids = rng.normal(size=(9, 4)), rng.normal(size=(9, 4)), [*"abcdefghi"]
    whole = combined([ids, ids], [one, other])
    np.testing.assert_array_equal(combined([ids[3:4]] * 2, [one[3:4], other[3:4]]), whole[3:4])


def test_one_set_under_two_names_predicts_what_it_predicts_alone():
    copied("b", make_features(name="a", noise=3))
    alone, both = outcome_of("a"), outcome_of("a+b")
    columns = ["video", "label", "predicted"]
    assert both.predictions.select(columns).equals(alone.predictions.select(columns))
    assert both.result.metrics == alone.result.metrics


def test_the_order_of_the_names_makes_no_difference_and_each_set_enters_the_id():
    a, b = two_sets()
    (cell,), (other,), (single,) = (plan(method="ridge", features=f, splits="1") for f in ("a+b", "b+a", "a"))
    assert cell == other
    assert cell.features == "a+b"
    assert cell.id != single.id
    assert len(plan(method="ridge", features=("a+b", "b+a"), splits="1")) == 1
    copied("b2", b)
    assert plan(method="ridge", features="a+b2", splits="1")[0].id != cell.id
    assert cell.features_digest not in (a.manifest.digest, b.manifest.digest)
    assert "part" not in cell.model_dump()
    assert Cell.model_validate(cell.model_dump()) == cell


@pytest.mark.parametrize("features", ["a+a", "a+", "+a", "a+b+a"])
def test_a_set_that_is_named_twice_or_not_at_all_is_refused(features):
    two_sets()
    with pytest.raises(ZslbenchError, match=r"does not name different feature sets; write each name once"):
        plan(method="ridge", features=features)


def test_videos_that_one_set_lacks_are_left_out_with_a_note():
    make_features(name="a", noise=3)
    make_features(name="b", noise=3, per_class=4, dim=24, seed=1)
    fixed = {"set": {"ridge": {"alpha": 1.0}}}
    given = {"method": "ridge", "dataset": "hmdb51", "features": "a+b", "splits": "1"}
    made = make_plan(make_experiment(given | fixed))
    assert "a+b runs on the 204 videos that all its feature sets have; 102 more of a are left out." in made.notices
    outcome = evaluate(made.cells[0], Report())
    assert outcome.result.present == 25 * 4
    kept = np.array([int(video.rpartition("_")[2]) < 4 for video in open_features(HMDB51, "a").ids])
    copied("a4", open_features(HMDB51, "a"), np.flatnonzero(kept))
    ours, theirs = by_video(outcome), by_video(outcome_of("a4+b", **fixed))  # as if the others had not been imported
    assert ours.keys() == theirs.keys()
    for video, row in ours.items():
        np.testing.assert_allclose(row, theirs[video], atol=1e-4)


def test_sets_in_other_orders_and_spellings_are_matched_by_video():
    _, b = two_sets()
    copied("c", b, np.random.default_rng(0).permutation(len(b.ids)), spelled="{}.avi")
    fixed = {"protocol": "gzsl", "set": {"ridge": {"alpha": 1.0}}}
    same, turned = outcome_of("a+b", **fixed), outcome_of("a+c", **fixed)
    assert same.predictions["video"].to_pylist() == turned.predictions["video"].to_pylist()
    np.testing.assert_allclose(same.scores, turned.scores, atol=1e-3)
    assert same.result.metrics == pytest.approx(turned.result.metrics, abs=1e-6)  # with the calibration of both


def test_sets_that_share_no_video_or_contradict_each_other_are_refused():
    a, _ = two_sets()
    make_features(name="lists", official=True)
    copied("elsewhere", a, spelled="x{}")
    copied("wrong", a, classes={a.ids[0]: "wave"})
    for name, says in {
        "elsewhere": "no video is in hmdb51@a and hmdb51@elsewhere",
        "lists": r"different official lists 1 of 306 videos \(such as brush_hair_0\)",
        "wrong": r"different classes of 1 videos \(such as brush_hair_0\)",
    }.items():
        with pytest.raises(ZslbenchError, match=says):
            plan(method="ridge", features=f"a+{name}")


def test_each_set_has_its_own_pca_of_the_seen_videos():
    make_features(name="a", noise=3)
    derive_features(HMDB51, "a", "a-pca8", k=8, fit="seen")
    both, *single = (by_video(outcome_of(features)) for features in ("a+a-pca8", "a", "a-pca8"))
    for video, row in both.items():
        np.testing.assert_allclose(row, loop([each[video] for each in single]), rtol=1e-6, atol=1e-6)
    (cell,), (plain,) = (plan(method="random", features=f, splits="1") for f in ("a+a-pca8", "a"))
    assert trains(cell)  # by the PCA
    assert not trains(plain)


def test_a_method_that_compares_is_asked_about_each_set():
    make_features(name="a", dim=384)
    make_features(name="b", dim=24, seed=1)
    with pytest.raises(ZslbenchError, match="features have 24 values and class vectors 384"):
        plan(method="nearest-text", features="a+b")


def test_notes_and_warnings_name_the_set():
    two_sets()
    result = outcome_of("a+b").result
    assert {"a.chosen", "b.chosen"} <= result.notes.keys()
    assert all(sentence.startswith(("a: ", "b: ")) for sentence in result.warnings)


@pytest.mark.slow
def test_training_on_another_dataset_and_on_auxiliary_videos_takes_the_same_sets():
    two_sets()
    for name, seed in (("a", 0), ("b", 1)):
        make_features("ucf101", name, per_class=2, dim=16 if name == "a" else 24, seed=seed)
    for settings in ({"auxiliary": "ucf101"}, {"train": "ucf101"}):
        both, *single = (by_video(outcome_of(features, **settings)) for features in ("a+b", "a", "b"))
        for video, row in both.items():
            np.testing.assert_allclose(row, loop([each[video] for each in single]), rtol=1e-6, atol=1e-6)


def test_a_stored_cell_verifies_and_cannot_be_read_with_other_classes(tmp_path):
    two_sets()
    (cell,) = plan(method="ridge", features="a+b", splits="1")
    store = Store(tmp_path / "runs", keep_scores="float64", keep_models=True)
    store.prepare()
    run_cell(cell, store, Report())
    (record,) = store.records()
    assert record.cell == cell
    found = verify(store)
    assert (found.n_cells, found.defects, found.unchecked) == (1, [], {})
    assert dependence(record) == "an ensemble's scores are standardised over the classes on offer"
    assert record.result.warnings[-1].endswith(
        "a+b is an ensemble, whose models are not saved; name one feature set: a, b"
    )
    with pytest.raises(ZslbenchError, match="whose models are not saved; name one feature set: a, b"):
        fitted_model(cell, store)


def test_the_audit_looks_at_what_each_set_was_trained_on():
    make_features(name="a", trained_on=("ucf101",))
    make_features(name="b", trained_on=(), seed=1)
    (cell,) = plan(method="ridge", features="a+b", splits="1")
    family = family_of(Inputs.of(cell))
    unseen = {family.splits[0].digest: frozenset(family.splits[0].unseen)}
    found = list(check_inputs(Inputs.of(cell), unseen))
    told = {(each.code, each.concerns.partition(",")[0]) for each in found}
    assert {("L1", "hmdb51@a"), ("W3", "hmdb51@b")} <= told


def test_copies_of_unseen_videos_outside_the_common_ones_are_no_leak():
    a, _ = two_sets()
    leaky = a.store.gather(np.array([0]))
    with new_directory(feature_path("hmdb51", "twin")) as folder:  # the first video again, under a seen class
        writer = FeatureWriter(folder, 16, "float32")
        for i, video in enumerate(a.ids):
            frames = a.store.gather(np.array([i]))
            writer.append([video], [HMDB51.classes[a.labels[i]]], [a.groups[i]], [""], np.array([len(frames)]), frames)
        writer.append(["again"], ["wave"], ["g0"], [""], np.array([len(leaky)]), leaky)
        writer.finish(dataset="hmdb51", name="twin", classes_digest=HMDB51.digest, kind="sequences", extractor="e",
                      trained_on=("nothing",))  # fmt: skip
    unseen = {"x": frozenset({"brush_hair"})}

    def codes(features):
        (cell,) = plan(method="ridge", features=features, splits="1")
        return {finding.code for finding in check_inputs(Inputs.of(cell), unseen)}

    assert "L7" in codes("twin")
    assert "L7" not in codes("b+twin")


def test_tune_takes_one_set():
    two_sets()
    with pytest.raises(ZslbenchError, match="tune takes one feature set; give --features a, or b"):
        seen_folds(plan(method="ridge", features="a+b"), 2)


def test_an_ensemble_has_no_frames_of_its_own():
    two_sets()
    with pytest.raises(ZslbenchError, match="is an ensemble, which only 'zslbench run' takes; name one feature set: a"):
        _ = open_features(HMDB51, "a+b").store


@pytest.mark.parametrize("verb", [("show", "hmdb51", "a+b"), ("transform", "hmdb51", "a+b", "--pca", "4", "--as", "c")])
def test_verbs_of_one_feature_set_name_the_sets_of_an_ensemble(zslbench, verb):
    two_sets()
    code, _, said = zslbench("features", *verb)
    assert code == 2
    assert "hmdb51@a+b is an ensemble, which only 'zslbench run' takes; name one feature set: a, b." in said


def test_features_verify_checks_each_set_of_an_ensemble(zslbench):
    two_sets()
    code, shown, _ = zslbench("features", "verify", "hmdb51", "a+b")
    assert code == 0
    assert shown.split() == ["ok", "hmdb51@a", "ok", "hmdb51@b"]
