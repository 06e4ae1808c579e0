"""The search: trials of parameters, which Optuna proposes, prunes and keeps in ``tune.db`` of the results folder.

The first trial has the method's own defaults, so that the best one is never worse than these on the held-out classes.
Only this room imports Optuna, and only inside functions: it is optional.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal

from zslbench.cells.store import Store
from zslbench.digests import derive_seed, digest
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.ranges import Choices
from zslbench.tune.folds import Fold
from zslbench.tune.limits import TooLong, limited
from zslbench.tune.space import Space

TRIALS = "tune.db"
_BEFORE_PRUNING = 5  # finished trials before any is pruned
_LONGEST = 300  # characters of a reason
_WAIT = 60  # seconds for another command that writes
_ABOUT = "about"  # the attribute of a study with its StudyInfo
_REPEATS = "repeats"  # the attribute of a trial with values that were tried before, which is not run again
_ENDED = ("COMPLETE", "PRUNED")  # Optuna's states; the others are running, interrupted or waiting

Ended = Literal["finished", "pruned", "refused"]
OnFold = Callable[[int, int, int], object]


@dataclass(frozen=True)
class Trial:
    """One combination of values, tried on held-out seen classes.

    Attributes
    ----------
    settings
        The searched values as ``--set`` takes them; empty for the method's own defaults.
    folds
        Per-class top-1 on each fold that was run, as shares.
    state
        ``finished``, ``pruned`` (stopped early because it was below the median of earlier trials), or ``refused`` (the
        method raised an error).
    started, finished
        Seconds since 1970.

    Examples
    --------
    >>> trial = Trial(3, ("ridge.alpha=10",), (0.4, 0.6), "finished", "", 0.0, 1.0)
    >>> trial.score, round(trial.spread, 3)
    (0.5, 0.141)
    """

    number: int
    settings: tuple[str, ...]
    folds: tuple[float, ...]
    state: Ended
    reason: str
    started: float
    finished: float

    @property
    def score(self) -> float:
        """The mean over the folds that were run; 0 if none was."""
        return fmean(self.folds) if self.folds else 0.0

    @property
    def spread(self) -> float:
        """The standard deviation over folds (ddof=1)."""
        return stdev(self.folds) if len(self.folds) > 1 else 0.0


@dataclass(frozen=True)
class StudyInfo:
    """What a study is about, as stored with it and shown.

    Attributes
    ----------
    name
        Label, features and a digest of all that the figures depend on, so that a change begins another study.
    splits
        Indices of the splits whose seen classes are held out.
    folds
        Number of folds of each split's seen classes.
    fixed
        The parameters that are set, as ``--set`` takes them.

    Examples
    --------
    >>> StudyInfo("ridge ucf101@c3d 0a1b", "ridge", "ucf101", "c3d", "minilm", "xu-50/50", (0,), 5).experiment
    'zslbench/ucf101@c3d/tune'
    """

    name: str
    label: str
    dataset: str
    features: str
    semantics: str
    family: str
    splits: tuple[int, ...]
    folds: int
    seed: int = 0
    simulated: bool = False
    fixed: tuple[str, ...] = ()

    @property
    def experiment(self) -> str:
        """The experiment of MLflow that its trials belong to."""
        return f"zslbench/{self.dataset}@{self.features}/tune"


class Study:
    """A search of a method's space on the same folds; it continues where an earlier one ended.

    Parameters
    ----------
    space
        What is searched.
    folds
        The held-out classes of each step of a trial.
    root
        The results folder.

    Attributes
    ----------
    info
        What it is about.

    Raises
    ------
    ZslbenchError
        Optuna is not installed, or the database cannot be used.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> from zslbench.tune.folds import seen_folds
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> plan = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3))
    >>> space = Space.of("ridge", {"ridge": {"alpha": [0.1, 1.0], "unit_features": True}})
    >>> study = Study(space, seen_folds(plan.cells, 2), Path())
    >>> study.run(3)
    >>> [trial.number for trial in study.trials()], study.trials()[0].settings
    ([0, 1, 2], ())
    """

    def __init__(self, space: Space, folds: Sequence[Fold], root: Path) -> None:
        self.space, self.folds = space, tuple(folds)
        self.path = root.absolute() / TRIALS
        cell, axes = folds[0].cell, [[axis.key, _plain(axis)] for axis in space.axes]
        known = digest([axes, [[fold.cell.id, fold.split.digest] for fold in folds]])
        splits = tuple(dict.fromkeys(fold.cell.split for fold in folds))
        self.info = StudyInfo(
            name=f"{space.label} {cell.dataset}@{cell.features} {known[:12]}",
            label=space.label,
            dataset=cell.dataset,
            features=cell.features,
            semantics=cell.semantics,
            family=cell.family,
            splits=splits,
            folds=len(folds) // len(splits),
            seed=cell.seed,
            simulated=cell.simulated,
            fixed=tuple(space.settings({})),
        )
        with _reaching(self.path, RuntimeError):  # Optuna's error about a database of another version
            self._study = self._open(derive_seed(cell.seed, known))

    def _open(self, seed: int) -> Any:
        optuna, storage = _optuna(), _storage(self.path)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=1)
        study = optuna.create_study(
            storage=storage, study_name=self.info.name, direction="maximize", load_if_exists=True, pruner=pruner
        )
        study.set_user_attr(_ABOUT, asdict(self.info))
        study.sampler = _sampler(seed)
        return study

    def run(
        self,
        trials: int,
        *,
        timeout: float | None = None,
        trial_timeout: float | None = None,
        on_fold: OnFold = lambda number, done, total: None,
        on_trial: Callable[[Trial], object] = lambda trial: None,
    ) -> None:
        """Run trials until there are so many in all, those of earlier commands included.

        Parameters
        ----------
        timeout, trial_timeout
            Seconds after which no trial starts, and after which one ends as refused.
        on_fold
            Called with the trial's number, how many of its folds are done, and how many there are.
        on_trial
            Called with each trial that ended.

        Raises
        ------
        ZslbenchError
            The database cannot be used any more.
        """
        trials = self.planned(trials)

        def ended(study: Any, frozen: Any) -> None:
            if frozen.state.name in _ENDED and _REPEATS not in frozen.user_attrs:
                on_trial(_trial(frozen))
            if self._enough(trials):
                study.stop()

        def objective(trial: Any) -> float:
            return self._objective(trial, on_fold, trial_timeout)

        start = time.monotonic()
        with _reaching(self.path):
            if not self.trials():  # before anything is queued, which would take the place of the defaults
                self._study.optimize(objective, n_trials=1, callbacks=[ended])
            self._queue(self.space.points(trials - 1))
            left = None if timeout is None else timeout - (time.monotonic() - start)
            if not self._enough(trials) and (left is None or left > 0):
                self._study.optimize(objective, timeout=left, callbacks=[ended])

    def _enough(self, trials: int) -> bool:
        """Return whether so many trials ended, or as many as these repeated others."""
        return len(self.trials()) >= trials or len(_ended(self._study, repeats=True)) >= 2 * trials

    def planned(self, trials: int) -> int:
        """Return how many trials a search for so many runs: in a small space, the defaults and each point once."""
        points = self.space.points(trials - 1)
        return 1 + len(points) if points else trials

    def _queue(self, points: Sequence[dict[str, str]]) -> None:
        """Queue the points that neither ended nor wait: of a small space, chance would leave some out."""
        known = {trial.settings for trial in self.trials()}
        waiting = [
            each.system_attrs["fixed_params"] for each in self._study.get_trials() if each.state.name == "WAITING"
        ]
        for point in points:
            if tuple(f"{key}={text}" for key, text in point.items()) not in known and point not in waiting:
                self._study.enqueue_trial(point)

    def trials(self) -> list[Trial]:
        """Return the trials that ended, in order, without those that repeat another's values."""
        return _ended(self._study)

    def _objective(self, trial: Any, on_fold: OnFold, seconds: float | None) -> float:
        pruned = _optuna().TrialPruned
        earlier = self.trials()
        values = {axis.key: axis.suggest(trial) for axis in self.space.axes} if earlier else {}
        settings = [text for text in self.space.settings(values) if text.partition("=")[0] in values]
        trial.set_user_attr("settings", settings)
        if same := next((each for each in earlier if each.settings == tuple(settings)), None):
            trial.set_user_attr(_REPEATS, same.number)
            if same.state != "finished":
                raise pruned
            return same.score
        on_fold(trial.number, 0, len(self.folds))
        scores: list[float] = []
        try:
            params = self.space.params(values).model_dump(mode="json")
            end = None if seconds is None else time.monotonic() + seconds
            for fold in self.folds:
                with limited(seconds, end):  # the fit alone, not Optuna's database
                    scores.append(fold.top1_per_class(params, Report()))
                self._report(trial, scores)
                on_fold(trial.number, len(scores), len(self.folds))
                if len(scores) < len(self.folds) and trial.should_prune():
                    raise pruned
        except (KeyboardInterrupt, pruned):
            raise
        except BaseException as error:  # SystemExit, or a class of the method's own, must not end the search either
            own = isinstance(error, ZslbenchError | TooLong)
            reason = str(error) if own else f"{type(error).__name__}: {error}"
            trial.set_user_attr("reason", (reason.splitlines() or [type(error).__name__])[0][:_LONGEST])
            trial.set_user_attr("traceback", traceback.format_exc())
            raise pruned from error  # Optuna's sampler learns nothing from trials that failed
        return fmean(scores)

    @staticmethod
    def _report(trial: Any, scores: Sequence[float]) -> None:
        trial.set_user_attr("folds", list(scores))
        trial.report(fmean(scores), len(scores) - 1)


def read_studies(root: Path) -> list[tuple[StudyInfo, list[Trial]]]:
    """Return all studies of a results folder with their trials that ended.

    Raises
    ------
    ZslbenchError
        Optuna is not installed, or the database cannot be used.
    """
    path = root.absolute() / TRIALS
    if not path.exists():
        return []
    with _reaching(path, RuntimeError):
        storage = _storage(path)
        names = _optuna().get_all_study_names(storage)
        studies = [_optuna().load_study(study_name=name, storage=storage) for name in names]
        found = [(study.user_attrs.get(_ABOUT), study) for study in studies]
        return [
            (StudyInfo(**about | {name: tuple(about[name]) for name in ("splits", "fixed")}), _ended(study))
            for about, study in found
            if about
        ]


@contextmanager
def _reaching(path: Path, *more: type[Exception]) -> Iterator[None]:
    optuna = _optuna()
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (optuna.exceptions.OptunaError, SQLAlchemyError, *more) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:_LONGEST]
        raise ZslbenchError(f"{path} cannot be used ({reason}); rename it to begin again.") from error


def _sampler(seed: int) -> Any:
    """Return a TPE sampler that begins each trial with a seed of the trial's number.

    With one seed for all, a command that continues a study, or shares it, would propose the first one's values again.
    """
    optuna = _optuna()

    class PerTrial(optuna.samplers.BaseSampler):  # type: ignore[misc, name-defined]
        def before_trial(self, study: Any, trial: Any) -> None:
            self.own = optuna.samplers.TPESampler(seed=derive_seed(seed, trial.number) % 2**32)
            self.own.before_trial(study, trial)

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self.own.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self.own.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            return self.own.sample_independent(study, trial, param_name, param_distribution)

    return PerTrial()


def _storage(path: Path) -> Any:
    store = Store(path.parent)
    store.locks.mkdir(parents=True, exist_ok=True)
    with store.lock(TRIALS):  # Optuna makes a new file's tables one by one, and another command must not find a half
        return _optuna().storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": _WAIT}})


def _ended(study: Any, *, repeats: bool = False) -> list[Trial]:
    ended = [each for each in study.get_trials(deepcopy=False) if each.state.name in _ENDED]
    if repeats:
        return [_trial(each) for each in ended]
    first: dict[tuple[str, ...], Trial] = {}  # commands side by side can fit equal values at the same time
    for trial in (_trial(each) for each in ended if _REPEATS not in each.user_attrs):
        first.setdefault(trial.settings, trial)
    return list(first.values())


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ZslbenchError(f"Optuna is missing ({error}); run: pip install 'zslbench[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _plain(axis: Any) -> list[Any]:
    values = axis.values
    return list(values.values) if isinstance(values, Choices) else [values.low, values.high, values.log, axis.whole]


def _trial(frozen: Any) -> Trial:
    known = frozen.user_attrs
    reason = known.get("reason", "")
    state: Ended = "refused" if reason else "finished" if frozen.state.name == "COMPLETE" else "pruned"
    now = time.time()
    return Trial(
        number=frozen.number,
        settings=tuple(known.get("settings", ())),
        folds=tuple(known.get("folds", ())),
        state=state,
        reason=reason,
        started=frozen.datetime_start.timestamp() if frozen.datetime_start else now,
        finished=frozen.datetime_complete.timestamp() if frozen.datetime_complete else now,
    )
