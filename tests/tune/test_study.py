"""A search looks at held-out seen classes only, continues where it ended, and survives what methods do."""

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from unittest import mock

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.cells.source import source_digest
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import new_directory
from zslbench.method import Method, MethodInfo, MethodParams, Report
from zslbench.ranges import Range
from zslbench.registry import METHODS, get_method
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import parse_settings
from zslbench.run.task import planned_split
from zslbench.tune.folds import check_tunable, seen_folds
from zslbench.tune.limits import limited
from zslbench.tune.space import Space
from zslbench.tune.study import TRIALS, Study, read_studies

NAMES = get_dataset("hmdb51").classes


class TwoFaced(Method):
    """Reads the class of each video from its feature, and uses that for the classes of one side only."""

    info = MethodInfo(name="two-faced", summary="Good on some classes.")
    unseen: ClassVar[set[str]] = set()
    fitted: ClassVar[set[str]] = set()
    scored: ClassVar[set[str]] = set()
    known: ClassVar[set[str]] = set()

    class Params(MethodParams):
        face: Literal["none", "seen", "unseen"] = "none"

    @staticmethod
    def names(videos):
        return [NAMES[i] for i in videos.pooled().argmax(axis=1)]

    def fit(self, seen, classes, target, report):
        assert target is None
        self.fitted.update(self.names(seen))
        self.known.update(classes.names)

    def score(self, videos, classes):
        true = self.names(videos)
        self.scored.update(true)
        self.known.update(classes.names)
        side = {"none": set(), "seen": set(NAMES) - self.unseen, "unseen": self.unseen}[self.params.face]
        right = np.array([[name == other for other in classes.names] for name in true], dtype=float)
        return np.where(np.isin(true, sorted(side))[:, None], right, -right)


class Curve(Method):
    """Scores that are right for a share of the videos, which depends on the parameter; some values fail."""

    info = MethodInfo(name="curve", summary="A known optimum.")
    fits: ClassVar[list[float]] = []
    error: ClassVar[BaseException | None] = None
    wait: ClassVar[float] = 0

    class Params(MethodParams):
        x: Annotated[float, Range(0, 1)] = 0.9
        mode: Literal["works", "fails"] = "works"

    def fit(self, seen, classes, target, report):
        self.fits.append(self.params.x)
        with contextlib.suppress(Exception):  # as careless methods do
            time.sleep(self.wait)
        if self.error is not None:
            raise self.error
        if self.params.mode == "fails":
            raise ValueError("this mode never works\nat all")

    def score(self, videos, classes):
        true = np.array([NAMES[i] for i in videos.pooled().argmax(axis=1)])
        right = true[:, None] == np.array(classes.names)
        share = 1 - abs(self.params.x - 0.3)
        hit = np.arange(len(true)) < share * len(true)
        return np.where(hit[:, None], right, ~right).astype(float)


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    get, own = METHODS.get, {method.info.name: method for method in (TwoFaced, Curve)}
    with mock.patch.object(METHODS, "get", side_effect=lambda name: own.get(name) or get(name)):
        for method in own.values():
            for name in ("fitted", "scored", "known", "fits"):
                if name in vars(method):
                    monkeypatch.setattr(method, name, type(vars(method)[name])())
        yield


@pytest.fixture
def coded():
    """A feature set whose videos tell their class."""
    dataset = get_dataset("hmdb51")
    with new_directory(feature_path("hmdb51", "tiny")) as folder:
        writer = FeatureWriter(folder, len(NAMES), "float32")
        for i, name in enumerate(NAMES):
            ids, frames = [f"{name}_{k}" for k in range(4)], np.repeat(np.eye(len(NAMES))[[i]], 4, axis=0)
            writer.append(ids, [name] * 4, [""] * 4, [""] * 4, np.ones(4, dtype=int), frames)
        writer.finish(
            dataset="hmdb51",
            name="tiny",
            classes_digest=dataset.digest,
            kind="pooled",
            extractor="x",
            trained_on=("y",),
        )


def study(root, method="curve", *settings, folds=3, splits="1"):
    space = Space.of(method, parse_settings(settings))
    cells = plan(method=method, splits=splits, set=space.fixed)
    return Study(space, seen_folds(cells, folds), root)


def test_folds_hold_every_seen_class_out_once_and_no_unseen_class(coded):
    (cell,) = plan(method="curve", splits="1")
    split, folds = planned_split(cell), seen_folds([cell], 4)
    held_out = [name for fold in folds for name in fold.split.unseen]
    assert sorted(held_out) == sorted(split.seen)
    for fold in folds:
        assert set(fold.split.seen) | set(fold.split.unseen) == set(split.seen)


def test_no_video_and_no_class_of_the_test_reaches_fit_or_score(coded, tmp_path):
    (cell,) = plan(method="two-faced", splits="1")
    split = planned_split(cell)
    study(tmp_path, "two-faced").run(3)
    assert TwoFaced.fitted == TwoFaced.scored == TwoFaced.known == set(split.seen)
    evaluate(cell, Report())  # the recorders do see unseen classes where these are given
    assert TwoFaced.scored == TwoFaced.known == set(NAMES[:0]) | set(split.seen) | set(split.unseen)


def test_what_looks_better_on_unseen_classes_is_not_chosen(coded, tmp_path, monkeypatch):
    (cell,) = plan(method="two-faced", splits="1")
    monkeypatch.setattr(TwoFaced, "unseen", set(planned_split(cell).unseen))
    on_unseen = {
        face: evaluate(cell.model_copy(update={"params": {"face": face}}), Report()).result.metrics["top1"]
        for face in ("seen", "unseen")
    }
    assert on_unseen == {"seen": 0.0, "unseen": 1.0}
    search = study(tmp_path, "two-faced")
    search.run(8)
    assert len(search.trials()) == 4  # the defaults and each choice
    best = max(search.trials(), key=lambda trial: trial.score)
    assert best.settings == ("two-faced.face=seen",)
    assert best.folds == (1.0, 1.0, 1.0)
    assert all(trial.score == 0 for trial in search.trials() if trial.settings != best.settings)


@pytest.mark.versions
@pytest.mark.slow
def test_a_search_begins_with_the_defaults_and_comes_near_the_optimum(coded, tmp_path):
    search, seen = study(tmp_path, "curve", "curve.mode=works"), []
    search.run(20, on_trial=seen.append)
    trials = search.trials()
    assert seen == trials
    assert len(trials) == len({trial.settings for trial in trials}) == 20
    assert trials[0].settings == ()
    best = max(trials, key=lambda trial: trial.score)
    assert best.score > trials[0].score + 0.3
    assert abs(float(best.settings[0].removeprefix("curve.x=")) - 0.3) < 0.15
    assert {trial.state for trial in trials} == {"finished", "pruned"}
    assert all(len(trial.folds) == 2 for trial in trials if trial.state == "pruned")


@pytest.mark.versions
@pytest.mark.slow
def test_the_same_search_continues_and_is_the_same_as_one_without_a_break(coded, tmp_path):
    study(tmp_path).run(3)
    again = study(tmp_path)
    assert len(again.trials()) == 3
    fits = len(Curve.fits)
    again.run(3)
    assert len(Curve.fits) == fits  # nothing is left to do
    again.run(6)
    assert [trial.number for trial in again.trials()] == list(range(6))
    assert len({trial.settings for trial in again.trials()}) == 6  # the sampler does not begin again
    (tmp_path / "other").mkdir()
    other = study(tmp_path / "other")
    other.run(6)
    assert [(t.settings, t.folds) for t in other.trials()] == [(t.settings, t.folds) for t in again.trials()]


def test_two_searches_of_one_study_try_different_values(coded, tmp_path):
    one, other = study(tmp_path), study(tmp_path)
    one.run(1)
    runs = iter([other])

    def run_other(trial):
        for each in runs:
            each.run(4)

    one.run(6, on_fold=lambda number, done, total: run_other(number))
    settings = [trial.settings for trial in one.trials()]
    assert len(settings) == len(set(settings)) == 6


def test_commands_that_start_side_by_side_make_one_file(coded, tmp_path):
    space = Space.of("curve", {})
    folds = seen_folds(plan(method="curve", splits="1"), 2)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: Study(space, folds, tmp_path), range(4)))
    assert {each.info.name for each in made} == {info.name for info, _ in read_studies(tmp_path)}


@pytest.mark.slow
def test_equal_values_that_two_commands_fit_at_once_count_once(coded, tmp_path):
    one, other = study(tmp_path), study(tmp_path)
    runs = iter([other])

    def run_other(number, done, total):
        for each in runs:
            each.run(1)

    one.run(3, on_fold=run_other)  # the other command begins while this one fits the defaults
    settings = [trial.settings for trial in one.trials()]
    assert len(settings) == len(set(settings)) == 3


def test_another_space_fold_or_source_is_another_study(coded, tmp_path):
    names = {
        study(tmp_path).info.name,
        study(tmp_path, folds=2).info.name,
        study(tmp_path, splits="2").info.name,
        study(tmp_path, "curve", "curve.x=0.1,0.2").info.name,
        study(tmp_path, "curve", "curve.mode=works").info.name,
    }
    with mock.patch("zslbench.run.plan.source_digest", lambda method: f"{source_digest(method)}x"):
        names.add(study(tmp_path).info.name)
    assert len(names) == 6
    assert study(tmp_path).info.name in names


@pytest.mark.versions
@pytest.mark.slow
def test_a_method_that_fails_loses_a_trial_and_not_the_search(coded, tmp_path):
    search = study(tmp_path)
    search.run(12)
    assert len(search.trials()) == 12
    refused = [trial for trial in search.trials() if trial.state == "refused"]
    assert refused
    assert all("curve.mode=fails" in trial.settings for trial in refused)
    assert refused[0].reason == "ValueError: this mode never works"
    assert max(search.trials(), key=lambda trial: trial.score).state == "finished"


@pytest.mark.parametrize("wait", [0.2, 30])
def test_a_trial_that_takes_too_long_over_all_its_folds_ends_as_refused(coded, tmp_path, monkeypatch, wait):
    monkeypatch.setattr(Curve, "wait", wait)
    signal.setitimer(signal.ITIMER_REAL, 500)  # as pytest-timeout does
    handler = signal.getsignal(signal.SIGALRM)
    search = study(tmp_path)
    search.run(1, trial_timeout=0.3)  # of 0.2 s each, two of three folds take longer
    (trial,) = search.trials()
    assert (trial.state, trial.reason) == ("refused", "longer than the limit of 0.3 s; raise it with --trial-timeout")
    assert signal.getsignal(signal.SIGALRM) is handler
    assert 100 < signal.getitimer(signal.ITIMER_REAL)[0] < 500
    monkeypatch.setattr(Curve, "wait", 0)
    search.run(3, trial_timeout=60)
    assert "finished" in {trial.state for trial in search.trials()[1:]}


def test_after_the_timeout_of_a_search_no_trial_starts_and_the_next_command_continues(coded, tmp_path):
    search = study(tmp_path)
    search.run(5, timeout=1e-6)
    assert len(search.trials()) == 1
    search.run(3)
    assert len(search.trials()) == 3


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError("too much"), ZslbenchError("")])
def test_a_method_that_ends_its_process_or_memory_or_gives_no_reason_loses_a_trial(coded, tmp_path, monkeypatch, error):
    monkeypatch.setattr(Curve, "error", error)
    search = study(tmp_path)
    search.run(2)
    assert [trial.state for trial in search.trials()] == ["refused", "refused"]


def test_ctrl_c_keeps_the_trials_that_ended_and_the_interrupted_one_runs_again(coded, tmp_path, monkeypatch):
    search = study(tmp_path)
    search.run(2)
    monkeypatch.setattr(Curve, "error", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        search.run(5)
    assert len(search.trials()) == 2
    monkeypatch.setattr(Curve, "error", None)
    again = study(tmp_path)
    again.run(5)
    assert len(again.trials()) == 5


def test_an_interrupted_first_trial_leaves_the_defaults_to_the_next_command(coded, tmp_path, monkeypatch):
    monkeypatch.setattr(Curve, "error", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        study(tmp_path).run(1)
    monkeypatch.setattr(Curve, "error", None)
    again = study(tmp_path)
    again.run(2)
    assert again.trials()[0].settings == ()


def test_equal_values_are_not_fitted_twice(coded, tmp_path):
    search = study(tmp_path, "curve", "curve.mode=works", "curve.x=0.2,0.4,0.6,0.8")
    search.run(4)  # too few for all of them, so that chance chooses
    search.run(9)
    assert len(Curve.fits) <= 5 * 3  # the defaults and four values, on three folds each
    assert {trial.settings for trial in search.trials()[1:]} == {(f"curve.x={x}",) for x in (0.2, 0.4, 0.6, 0.8)}
    assert len({trial.settings for trial in search.trials()}) == len(search.trials()) == 5


def test_every_point_of_a_small_space_is_tried_once_also_after_an_interruption(coded, tmp_path, monkeypatch):
    settings = ("curve.mode=works", "curve.x=0.2,0.4,0.6,0.8")
    search = study(tmp_path, "curve", *settings)
    with pytest.raises(KeyboardInterrupt):
        search.run(50, on_trial=lambda trial: monkeypatch.setattr(Curve, "error", KeyboardInterrupt()))
    monkeypatch.setattr(Curve, "error", None)
    again = study(tmp_path, "curve", *settings)
    again.run(50)
    assert sorted(trial.settings for trial in again.trials()) == [
        (), *((f"curve.x={x}",) for x in (0.2, 0.4, 0.6, 0.8))
    ]  # fmt: skip
    assert again.planned(50) == 5


def test_stored_studies_can_be_read_without_the_method(coded, tmp_path):
    search = study(tmp_path, "curve", "curve.mode=works")
    search.run(2)
    ((info, trials),) = read_studies(tmp_path)
    assert info == search.info
    assert info.fixed == ("curve.mode=works",)
    assert trials == search.trials()
    assert read_studies(tmp_path / "nothing") == []


def test_a_file_that_is_no_database_is_one_sentence(coded, tmp_path):
    (tmp_path / TRIALS).write_text("no database, but long enough to be looked at " * 30)
    with pytest.raises(ZslbenchError, match=r"tune.db cannot be used \(.*\); rename it to begin again"):
        study(tmp_path)


def test_too_few_seen_classes_for_the_folds_is_one_sentence():
    make_features(classes=NAMES[:8])
    cells = plan(method="ridge", splits="1", family="random-50/50")
    with pytest.raises(ZslbenchError, match="has 4 seen classes, too few for 3 folds of at least two; give fewer"):
        seen_folds(cells, 3)


def test_a_family_that_trains_on_another_dataset_is_refused():
    (cell,) = plan_of_tiny()
    with pytest.raises(ZslbenchError, match="trains on kinetics400.*tune with --dataset kinetics400"):
        seen_folds([cell.model_copy(update={"seen_dataset": "kinetics400"})], 3)


def plan_of_tiny():
    make_features()
    return plan(method="ridge", splits="1")


def test_optuna_is_optional(coded, tmp_path):
    with (
        mock.patch.dict("sys.modules", {"optuna": None}),
        pytest.raises(ZslbenchError, match=r"Optuna is missing .*pip install 'zslbench\[tune\]'"),
    ):
        study(tmp_path)


def test_folds_of_several_splits_take_turns(coded):
    cells = plan(method="curve", splits="2")
    assert [fold.cell.split for fold in seen_folds(cells, 2)] == [0, 1, 0, 1]


def test_the_place_of_the_study_does_not_follow_the_working_directory(coded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = study(Path())
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    search.run(1)
    assert (tmp_path / TRIALS).exists()


@pytest.mark.parametrize(
    ("method", "family", "says"),
    [
        (
            "ridge",
            "supervised-lists",
            "supervised-lists has none, or takes its videos from lists of another protocol; give --family random-50/50",
        ),
        ("ridge", "2-shot", "2-shot has none"),
        ("ridge", "base-to-novel", "base-to-novel has none"),
        ("ridge", "official-lists", "official-lists has none"),
        ("linear-probe", None, "linear-probe scores only the classes that it was trained on"),
    ],
)
def test_what_has_no_held_out_seen_classes_is_refused_with_a_remedy_that_tune_has(method, family, says):
    found = find_family(get_dataset("ucf101"), family) if family else None
    with pytest.raises(ZslbenchError, match=says) as refused:
        check_tunable(get_method(method), found)
    assert "--protocol" not in str(refused.value)
    check_tunable(get_method("ridge"), find_family(get_dataset("ucf101"), "xu-50/50"))


@pytest.mark.parametrize("seconds", [1e300, float("inf")])
def test_a_limit_beyond_the_timer_of_the_system_lets_the_trial_end(seconds):
    with limited(seconds, time.monotonic() + seconds):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 1e8
