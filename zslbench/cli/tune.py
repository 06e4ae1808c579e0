"""``zslbench tune``: search a method's parameters on held-out seen classes."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import click

from zslbench.api import simulated
from zslbench.cells.store import Store
from zslbench.cli._console import DEVICE, RESULTS, TRACKING_URI, check_device, table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.cli.run import tell_notes
from zslbench.errors import ZslbenchError
from zslbench.run.execution import input_notes
from zslbench.tables.progress import draws_bars, progress_bar, tell
from zslbench.tables.text import visible
from zslbench.tables.widths import filled, shell_lines

if TYPE_CHECKING:
    from zslbench.tune.study import Study, Trial

_GRID = ("dataset", "features", "semantics", "texts", "attributes", "family", "splits", "seed")

_SECONDS = click.FloatRange(min=0, min_open=True)

_GROUPS = {
    "What is searched": ("settings", "folds", "trials"),
    "On what data": _GRID,
    "How and where": ("device", "timeout", "trial_timeout", "results", "track", "tracking_uri"),
}


@click.command(
    cls=Verb,
    groups=_GROUPS,
    examples=[
        "zslbench tune ridge --dataset hmdb51 --trials 20",
        "zslbench tune action2vec --dataset ucf101 --features vgg16 --set action2vec.epochs=10,20",
    ],
)
@click.argument("method", metavar="METHOD[:PRESET]")
@click.option("--dataset", required=True, help="Dataset.")
@click.option("--features", help="Feature set. [default: as in 'zslbench run']")
@click.option("--semantics", default="minilm", help="Class vectors, or NAME:key=value,...")
@click.option("--texts", help="Class texts, for methods that read them. [default: shipped]")
@click.option("--attributes", help="An imported matrix, for methods that read attributes. [default: from the texts]")
@click.option("--family", help="Split family. [default: as in 'zslbench run']")
@click.option("--splits", default="1", help="Splits whose seen classes are held out, as in 'zslbench run'.")
@click.option("--seed", type=int, default=0, help="Base seed.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="METHOD.PARAMETER=VALUE[,VALUE...]",
    help="Keep a parameter at this value; of several values, search these. Repeatable.",
)
@click.option("--folds", type=click.IntRange(2, 50), default=5, help="Folds of the seen classes.")
@click.option("--trials", type=click.IntRange(1), default=50, help="Trials in all, those of earlier commands included.")
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="Start no trial after this time.")
@click.option(
    "--trial-timeout", type=_SECONDS, metavar="SECONDS", help="End a trial that takes longer; it counts as refused."
)
@RESULTS
@DEVICE
@TRACKING_URI
@click.option("--track/--no-track", default=True, help="Whether to copy the trials into MLflow.")
def command(method: str, settings: tuple[str, ...], results: Path, **options: Any) -> int:
    """Search a method's parameters by Optuna, on held-out seen classes only.

    Each trial fits the method once per fold, on the other seen classes. Videos of unseen classes are never used. The
    first trial has the defaults. The same command continues a search; trials are kept in tune.db of the results folder.
    docs/tuning.md says what the scores mean, and how a method declares what can be searched.
    """
    from zslbench.datasets.catalog import get_dataset
    from zslbench.families.catalog import find_family
    from zslbench.registry import get_method
    from zslbench.run.experiment import make_experiment, parse_settings
    from zslbench.run.plan import make_plan
    from zslbench.tune.folds import check_tunable, seen_folds
    from zslbench.tune.space import Space
    from zslbench.tune.study import Study

    check_device()
    results = results.absolute()  # before a plugin is imported, which may change the working directory
    space = Space.of(method, parse_settings(settings))
    family = find_family(get_dataset(options["dataset"]), options["family"]) if options["family"] else None
    check_tunable(get_method(space.label), family)
    grid = {name: options[name] for name in _GRID if options[name] not in (None, "")}
    plan = make_plan(make_experiment(grid | {"method": method, "set": space.fixed}), simulate=simulated)
    folds = seen_folds(plan.cells, options["folds"])
    store = Store(results)
    store.prepare()
    study = Study(space, folds, results)
    tell_notes(input_notes(plan))
    trials = study.planned(options["trials"])
    _announce(study, trials)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill by SIGTERM stops as cleanly as Ctrl-C
    with _tracked(study, store, options["tracking_uri"], wanted=options["track"]) as add:
        try:
            with _Shown(study, trials, add) as shown:
                limits = {name: options[name] for name in ("timeout", "trial_timeout")}
                study.run(trials, **limits, on_fold=shown.fold, on_trial=shown.trial)
        except KeyboardInterrupt as error:
            kept = f"{len(study.trials())} trials are kept; the same command continues."
            raise KeyboardInterrupt(kept) from error
    return _conclude(study, options | {"results": results})


def _announce(study: Study, trials: int) -> None:
    info, kept = study.info, len(study.trials())
    for notice in study.space.notices:
        echo(_filled(f"note: {notice}"), err=True)
    if len(info.splits) > 1:
        echo(
            _filled(
                f"note: the {len(info.splits)} splits share classes: the unseen classes of one are seen in another, so "
                f"the choice looks at their videos. --splits 1 looks at none of its own."
            ),
            err=True,
        )
    searched = ", ".join(axis.key for axis in study.space.axes)
    echo(_filled(f"searching {searched}: {trials} trials, {kept} kept from before, in {study.path}"), err=True)


def _filled(text: str, indent: str = "  ") -> str:
    return filled(visible(text), others=indent)


class _Shown:
    """The progress of a search: a bar of folds on a terminal, and a line for each trial, which is then copied."""

    def __init__(self, study: Study, trials: int, copy: Callable[[Trial], object]) -> None:
        self._copy = copy
        self._n_folds, self._trials = len(study.folds), trials
        self._count = len(study.trials())
        self._terminal = draws_bars()

    def __enter__(self) -> _Shown:
        self._bars = progress_bar(disable=not self._terminal)
        self._bars.start()
        self._row = self._bars.add_task("folds", total=self._trials * self._n_folds)
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def fold(self, number: int, done: int, total: int) -> None:
        """Move the bar."""
        self._bars.update(self._row, completed=self._count * total + done)

    def trial(self, trial: Trial) -> None:
        """Print a line for an ended trial."""
        self._count += 1
        self._bars.update(self._row, completed=self._count * self._n_folds)
        settings = ", ".join(trial.settings) or "the defaults"
        if trial.state == "refused":
            said = f"REFUSED: {trial.reason.rstrip('.')}"
        elif trial.state == "pruned":
            said = f"{_percent(trial.score)}, stopped after {len(trial.folds)} of {self._n_folds} folds"
        else:
            said = f"{_percent(trial.score)} (sd {_percent(trial.spread)})"
        line = _filled(f"[{self._count}/{self._trials}] trial {trial.number}: {said}: {settings}")
        tell(line, self._bars if self._terminal else None)
        self._copy(trial)


@contextlib.contextmanager
def _tracked(study: Study, store: Store, uri: str | None, *, wanted: bool) -> Iterator[Callable[[Trial], None]]:
    """Yield a function that copies a trial into MLflow; earlier ones are copied first. Go on if MLflow fails."""
    if not wanted:
        yield lambda trial: None
        return
    from zslbench.tracking.projection import WhileReachable
    from zslbench.tracking.trials import TrialTracker

    mlflow = WhileReachable(
        lambda: TrialTracker(store, uri, study.info),
        f"The trials stay in {study.path}; the same command copies them.",
    )

    def add(trial: Trial) -> None:
        mlflow.do(lambda tracker: tracker.add(trial))

    for trial in study.trials():
        add(trial)
    try:
        yield add
    finally:
        mlflow.do(lambda tracker: tracker.finish())


def _conclude(study: Study, options: dict[str, Any]) -> int:
    """Print the best trial beside the defaults, and the command that runs it; return the exit code."""
    trials = study.trials()
    finished = [trial for trial in trials if trial.state == "finished"]
    states = Counter(trial.state for trial in trials)
    if not finished:
        reason = next((trial.reason for trial in trials if trial.reason), "all were stopped early")
        raise ZslbenchError(f"no trial of {study.info.label} finished: {reason.rstrip('.')}.")
    best = max(finished, key=lambda trial: trial.score)
    first = next((trial for trial in finished if not trial.settings), None)
    told = ", ".join(f"{states[name]} {name}" for name in ("finished", "pruned", "refused") if states[name])
    sizes = sorted({len(fold.split.unseen) for fold in study.folds})
    classes = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} or {sizes[-1]}"
    echo(_filled(f"{len(trials)} trials: {told}. Per-class top-1 % on {len(study.folds)} folds of {classes} held-out "
                 f"seen classes of {study.info.dataset}@{study.info.features}:", ""))  # fmt: skip
    echo()
    rows = [] if first is None or first is best else [_row("the defaults", first)]
    table([*rows, _row(f"trial {best.number}" if best.settings else "the defaults", best)],
          ("", "mean", "sd over folds", "each fold"))  # fmt: skip
    echo()
    if first is not None and first is not best:
        gains = [after - before for before, after in zip(first.folds, best.folds, strict=True)]
        say(f"Gain over the defaults, fold by fold: {_percent(fmean(gains), '+')} (sd {_percent(stdev(gains))}).")
        if fmean(gains) < stdev(gains):
            say("The gain is smaller than its spread: the defaults may be as good.")
    elif not best.settings:
        say("No trial was better than the defaults.")
    if best.settings:
        echo(_filled(f"The best of {len(trials)} trials is partly luck: its score on other classes will be lower.", ""))
    say("\nTest it on the unseen classes:\n")
    echo(_command(study, best, options))
    return 0


def _row(name: str, trial: Trial) -> tuple[str, ...]:
    return name, _percent(trial.score), _percent(trial.spread), " ".join(_percent(value) for value in trial.folds)


def _percent(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f}"


def _command(study: Study, best: Trial, options: dict[str, Any]) -> str:
    """Return the command that runs a trial's values, in lines that a shell joins."""
    info = study.info
    words = [f"--method {shlex.quote(info.label)}"]
    named = {
        "dataset": info.dataset, "features": info.features, "semantics": info.semantics, "texts": options["texts"],
        "attributes": options["attributes"], "family": info.family, "splits": options["splits"],
        "seed": info.seed or None, "results": options["results"],
    }  # fmt: skip
    words += [f"--{name} {shlex.quote(str(value))}" for name, value in named.items() if value is not None]
    words += [f"--set {shlex.quote(text)}" for text in (*info.fixed, *best.settings)]
    return shell_lines(" ".join(["zslbench run", *words]))
