from typing import ClassVar

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.cells._agreement import contradiction
from zslbench.datasets.catalog import get_dataset
from zslbench.method import Method, MethodInfo, Report
from zslbench.registry import get_method
from zslbench.run import evaluate as module
from zslbench.run import inputs
from zslbench.run.evaluate import evaluate, fit_on_all_classes
from zslbench.run.experiment import make_experiment
from zslbench.run.inputs import cached_features
from zslbench.run.plan import make_plan
from zslbench.run.split_videos import held_out_videos
from zslbench.run.task import build_task
from zslbench.videos import _held, storage


def stored_rows(videos):
    """Return where videos are stored, which storage() does not tell while a method runs."""
    return _held(videos).rows.tolist()


@pytest.fixture(autouse=True)
def fresh_caches():
    cached_features.cache_clear()
    inputs._cached_vectors.cache_clear()


class Spy(Method):
    """Keeps what it was handed; scores with a linear map that knows nothing."""

    info = MethodInfo(name="ridge", summary="spy")
    handed: ClassVar[list] = []

    def fit(self, seen, classes, target, report):
        Spy.handed.append((seen, classes, target))

    def score(self, videos, classes):
        Spy.handed.append((videos, classes, None))
        return videos.pooled()[:, :1] * np.arange(1, len(classes) + 1)


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setattr(module, "check_code", lambda cell: None)
    Spy.handed = []
    monkeypatch.setattr(module, "get_method", lambda name: Spy)
    return Spy


def test_a_method_is_handed_the_seen_classes_training_videos_and_nothing_else(spy):
    features = make_features()
    (cell,) = plan(method="ridge", splits="1")
    evaluate(cell.model_copy(update={"params": {}}), Report())
    (seen, classes, target), (videos, test_classes, _) = spy.handed
    split = get_dataset("hmdb51").family("xu-50/50").splits[0]
    assert classes.names == split.seen
    assert test_classes.names == split.unseen
    assert target is None
    assert len(seen) == 6 * len(split.seen)
    assert len(videos) == 6 * len(split.unseen)
    assert not hasattr(videos, "labels")
    by_name = {name: features.store.pooled()[features.labels == i] for i, name in enumerate(features.dataset.classes)}
    for i in (0, len(classes) - 1):
        np.testing.assert_array_equal(seen.take(seen.labels == i).pooled(), by_name[classes.names[i]])


def test_the_result_counts_every_video_of_the_unseen_classes_once():
    make_features()
    (cell,) = plan(method="ridge", splits="1", set={"ridge": {"alpha": 1.0}})
    outcome = evaluate(cell, Report())
    counts = outcome.result.classes
    assert sum(counts.scored) == 25 * 6 == outcome.result.present
    assert outcome.result.expected == sum(get_dataset("hmdb51").videos_per_class[n] for n in counts.names)
    assert outcome.result.metrics["top1"] == pytest.approx(sum(counts.top1) / sum(counts.scored))
    assert outcome.predictions.num_rows == 150
    right = [p[0] == t for p, t in zip(outcome.predictions["predicted"].to_pylist(),
             outcome.predictions["label"].to_pylist(), strict=True)]  # fmt: skip
    assert sum(right) == sum(counts.top1)


def test_linear_features_of_class_vectors_are_recognised_far_above_chance():
    make_features(dim=64, noise=0.1)
    (cell,) = plan(method="ridge", splits="1")
    assert evaluate(cell, Report()).result.metrics["top1"] > 0.4


@pytest.mark.parametrize(
    "key",
    [
        lambda videos: videos._rows,
        lambda videos: videos._store.offsets[videos._rows],
        lambda videos: storage(videos).rows,
        lambda videos: np.concatenate([v for v in vars(videos).values() if len(set(v.tolist())) == len(videos)]),
    ],
)
def test_a_method_that_ranks_videos_by_their_place_in_the_file_has_no_figures(monkeypatch, key):
    class Cheat(get_method("ridge")):
        def score(self, videos, classes):
            scores = np.zeros((len(videos), len(classes)))
            for i, part in enumerate(np.array_split(np.argsort(key(videos)), len(classes))):
                scores[part, i] = 1
            return scores

    make_features()  # in class order
    (cell,) = plan(method="ridge", splits="1")
    monkeypatch.setattr(module, "get_method", lambda name: Cheat)
    with pytest.raises((AttributeError, ValueError, RuntimeError)):
        evaluate(cell, Report())


def test_the_order_of_test_videos_cannot_be_computed_from_public_names():
    orders = []
    for seed in (0, 1):
        make_features(name=f"tiny{seed}", seed=seed)
        (cell,) = plan(method="ridge", splits="1", features=f"tiny{seed}")
        orders.append(build_task(cell).ids)
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_gzsl_never_trains_on_a_tested_video_and_tests_both_kinds(spy):
    make_features()
    (cell,) = plan(method="ridge", splits="1", protocol="gzsl")
    task = build_task(cell)
    train, test = set(storage(task.train).rows.tolist()), set(storage(task.test).rows.tolist())
    assert not train & test
    assert len(train | test) == 51 * 6
    assert set(np.unique(task.seen[task.labels])) == {True, False}


def test_gzsl_holds_out_whole_source_groups():
    features = make_features(per_class=10)
    rows = np.arange(len(features.ids))
    held_out, rule = held_out_videos(features, rows, features.labels)
    assert "source groups" in rule
    for label in range(51):
        groups = {features.groups[i] for i in np.flatnonzero((features.labels == label) & held_out)}
        kept = {features.groups[i] for i in np.flatnonzero((features.labels == label) & ~held_out)}
        assert groups
        assert not groups & kept


def test_a_method_knows_which_training_videos_are_of_one_source():
    features = make_features(per_class=10)
    (cell,) = plan(method="ridge", splits="1")
    train = build_task(cell).train
    rows = storage(train).rows
    sources = [(int(features.labels[row]), features.groups[row]) for row in rows]
    assert len(set(train.groups.tolist())) == len(set(sources)) < len(sources)
    assert len(set(zip(train.groups.tolist(), sources, strict=True))) == len(set(sources))


def test_a_model_of_all_classes_knows_it_too(monkeypatch):
    features, fitted = make_features(per_class=10), []
    monkeypatch.setattr(get_method("ridge"), "fit", lambda self, seen, *_: fitted.append(seen))
    (cell,) = plan(method="ridge", splits="1")
    monkeypatch.setattr("zslbench.run.evaluate.check_code", lambda cell: None)
    fit_on_all_classes(cell, Report())
    sources = list(zip(features.labels.tolist(), features.groups, strict=True))  # rows of all classes are in file order
    assert len(set(zip(fitted[0].groups.tolist(), sources, strict=True))) == len(set(sources)) < len(sources)


def test_gzsl_uses_the_official_lists_where_there_are_some():
    features = make_features(official=True)
    held_out, rule = held_out_videos(features, np.arange(len(features.ids)), features.labels)
    assert rule == "official test list"
    assert held_out.tolist() == [side == "test" for side in features.official]


def test_the_calibration_factor_is_chosen_without_a_test_video(monkeypatch):
    make_features(dim=64)
    (cell,) = plan(method="ridge", splits="1", protocol="gzsl", set={"ridge": {"alpha": 1.0}})
    task = build_task(cell)
    touched = []
    ridge = get_method("ridge")

    class Watched(ridge):
        def fit(self, seen, *more):
            touched.extend(stored_rows(seen))
            return super().fit(seen, *more)

        def score(self, videos, classes):
            touched.extend(stored_rows(videos))
            return super().score(videos, classes)

    monkeypatch.setattr(module, "get_method", lambda name: Watched)
    module._calibration_factor([cell], [task])
    assert touched
    assert set(touched) <= set(storage(task.train).rows.tolist())


def test_calibration_raises_the_harmonic_mean():
    make_features(dim=64, per_class=12)
    (cell,) = plan(method="ridge", splits="1", protocol="gzsl")
    metrics = evaluate(cell, Report()).result.metrics
    assert metrics["H_calibrated"] > metrics["H"]
    assert metrics["S_calibrated"] < metrics["S"]


@pytest.mark.parametrize(
    ("scores", "message"),
    [(lambda v, c: np.zeros((len(v), 1)), "shape"), (lambda v, c: np.full((len(v), len(c)), np.nan), "nan")],
)
def test_scores_of_the_wrong_shape_or_nan_are_an_error_not_a_result(spy, monkeypatch, scores, message):
    make_features()
    monkeypatch.setattr(Spy, "score", lambda self, videos, classes: scores(videos, classes))
    (cell,) = plan(method="ridge", splits="1")
    with pytest.raises(ValueError, match=message):
        evaluate(cell.model_copy(update={"params": {}}), Report())


def test_permuted_unseen_labels_leave_the_scores_as_they_are(monkeypatch, tmp_path):
    features = make_features()
    (cell,) = plan(method="ridge", splits="1")
    first = evaluate(cell, Report()).predictions["scores"].to_pylist()
    split = get_dataset("hmdb51").family("xu-50/50").splits[0]
    unseen = [features.dataset.label_of[name] for name in split.unseen]
    opened = cached_features("hmdb51", "tiny", cell.features_digest)
    opened.labels = opened.labels.copy()
    rows = np.flatnonzero(np.isin(opened.labels, unseen))
    opened.labels[rows] = np.random.default_rng(0).permutation(opened.labels[rows])
    assert evaluate(cell, Report()).predictions["scores"].to_pylist() == first


def test_a_target_holds_exactly_what_the_budget_declares(tmp_path):
    from zslbench.method import Budget

    make_features()
    (cell,) = plan(method="ridge", splits="1")
    task = build_task(cell)
    assert module._target(frozenset({Budget.CLASS_VECTORS}), task) is None
    names = module._target(frozenset({Budget.UNSEEN_NAMES}), task)
    assert (names.classes.names, names.videos, names.counts) == (task.split.unseen, None, None)
    videos = module._target(frozenset({Budget.UNSEEN_VIDEOS}), task)
    assert (videos.classes, len(videos.videos), videos.counts) == (None, 150, None)
    oracle = module._target(frozenset({Budget.ORACLE}), task)
    assert (oracle.classes, oracle.videos, set(oracle.counts.values())) == (None, None, {6})


def test_features_that_changed_since_the_plan_are_refused():
    from zslbench.errors import ZslbenchError

    make_features()
    (cell,) = plan(method="ridge", splits="1")
    with pytest.raises(ZslbenchError, match="changed since"):
        evaluate(cell.model_copy(update={"features_digest": "0" * 32}), Report())


def test_another_datasets_seen_classes_are_trained_on_where_the_family_says_so(spy):
    family = get_dataset("kinetics600").family("kinetics-zsar")
    seen, unseen = family.splits[0].seen, sorted({n for s in family.splits for n in s.unseen})
    make_features("kinetics400", per_class=1, classes=seen)
    make_features("kinetics600", per_class=1, classes=unseen)
    (cell,) = plan(method="ridge", dataset="kinetics600", family="kinetics-zsar", splits="1")
    evaluate(cell.model_copy(update={"params": {}}), Report())
    (train, classes, _), (videos, test_classes, _) = spy.handed
    assert (len(train), len(classes), len(videos), len(test_classes)) == (400, 400, 160, 160)


def test_a_test_videos_place_tells_nothing_of_its_label(spy, monkeypatch):
    """Feature files are in class order; a method that only counts must stay at chance."""
    make_features(per_class=20)
    (cell,) = plan(method="ridge", splits="1")

    def by_place(self, videos, classes):
        return np.eye(len(classes))[np.arange(len(videos)) * len(classes) // len(videos)]

    monkeypatch.setattr(Spy, "score", by_place)
    assert evaluate(cell.model_copy(update={"params": {}}), Report()).result.metrics["top1"] < 0.1


def test_other_code_class_vectors_or_recipe_than_planned_are_refused(tmp_path):
    from zslbench.errors import ZslbenchError
    from zslbench.semantics.importing import import_semantics
    from zslbench.semantics.store import remove_semantics

    def vectors(seed):
        names = get_dataset("hmdb51").classes
        values = np.random.default_rng(seed).normal(size=(51, 8))
        np.savez(tmp_path / "v.npz", names=np.array(names), vectors=values)
        import_semantics("mine", tmp_path / "v.npz", dataset="hmdb51")

    make_features()
    vectors(0)
    (cell,) = plan(method="ridge", splits="1", semantics="mine")
    evaluate(cell, Report())
    for change in ({"method_digest": "0" * 32}, {"recipe": 99}):
        with pytest.raises(ZslbenchError, match="restart the workers"):
            evaluate(cell.model_copy(update=change), Report())
    remove_semantics("mine")
    vectors(1)
    (fresh,) = plan(method="ridge", splits="1", semantics="mine")
    assert fresh.id != cell.id
    inputs._cached_vectors.cache_clear()
    with pytest.raises(ZslbenchError, match="class vectors mine changed"):
        evaluate(cell, Report())
    evaluate(fresh, Report())  # although this process held the old vectors in memory


def test_a_method_may_change_the_class_vectors_it_is_handed(monkeypatch):
    make_features()
    cells = plan(method="random", splits="2")
    first = [build_task(cell).seen_classes.vectors.copy() for cell in cells]
    build_task(cells[0]).seen_classes.vectors[:] = 7
    again = [build_task(cell).seen_classes.vectors for cell in cells]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_a_class_without_groups_does_not_change_what_others_hold_out():
    features = make_features(per_class=10)
    rows = np.arange(len(features.ids))
    before, _ = held_out_videos(features, rows, features.labels)
    features.groups = [
        "" if label == 0 else group for label, group in zip(features.labels, features.groups, strict=True)
    ]
    after, _ = held_out_videos(features, rows, features.labels)
    assert (before == after)[features.labels != 0].all()


def test_the_calibration_holds_out_whole_groups_too(monkeypatch):
    features = make_features(per_class=10, dim=32)
    (cell,) = plan(method="ridge", splits="1", protocol="gzsl", set={"ridge": {"alpha": 1.0}})
    task = build_task(cell)
    handed = []

    class Watched(get_method("ridge")):
        def fit(self, seen, *more):
            handed.append(set(stored_rows(seen)))
            return super().fit(seen, *more)

        def score(self, videos, classes):
            handed.append(set(stored_rows(videos)))
            return super().score(videos, classes)

    monkeypatch.setattr(module, "get_method", lambda name: Watched)
    module._calibration_factor([cell], [task])
    trained, scored = ({(features.labels[i], features.groups[i]) for i in rows} for rows in handed)
    assert not trained & scored


def test_without_calibration_a_method_is_fitted_once_and_all_other_figures_are_the_same():
    make_features()
    (usual,) = plan(method="ridge", protocol="gzsl", splits="1")
    (cell,) = plan(method="ridge", protocol="gzsl", splits="1", calibrate=False)
    assert (cell.id != usual.id, cell.extras) == (True, {"uncalibrated": True})
    found, other = evaluate(cell, Report()), evaluate(usual, Report())
    calibrated = {"S_calibrated", "U_calibrated", "H_calibrated", "factor"}
    assert found.result.metrics == {k: v for k, v in other.result.metrics.items() if k not in calibrated}
    assert contradiction(cell, found.result) is None
    assert contradiction(cell, other.result) == "it has a calibration factor"
    assert contradiction(usual, found.result) == "it has no calibration factor"


def test_calibration_only_distinguishes_cells_of_gzsl_and_is_said_once():
    make_features()
    usual, without = ({"method": ("ridge", "random"), "dataset": "hmdb51", "splits": "2", "calibrate": c}
                      for c in (True, False))  # fmt: skip
    assert [c.id for c in make_plan(make_experiment(usual)).cells] == [
        c.id for c in make_plan(make_experiment(without)).cells
    ]
    said = {name: [n for n in make_plan(make_experiment(settings | {"protocol": "gzsl"})).notices if "twice" in n]
            for name, settings in (("usual", usual), ("without", without))}  # fmt: skip
    assert (len(said["usual"]), said["without"]) == (1, [])
    assert "--no-calibrate" in said["usual"][0]
