"""``zslbench run``: plan cells, run the missing ones, and show the table."""

from __future__ import annotations

import math
import pdb
import shlex
import signal
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import click

from zslbench.api import run_cells, simulated
from zslbench.cells.cell import Cell, Control, KeptScores, State
from zslbench.cells.store import NO_MODEL_SAYS, Record, Store
from zslbench.cli._console import DEVICE, RESULTS, TRACKING_URI, check_device, table, tell_unreadable
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.cli._protocol_of import as_reported
from zslbench.cli.models import SHOWN_ID, model_name, predict_command, results_option
from zslbench.errors import ZslbenchError
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.protocols.settings import Setting
from zslbench.run.engine import CellError
from zslbench.run.execution import BANNER, Execution, announcements, cells_to_run, checked_size
from zslbench.run.experiment import Experiment, make_experiment, parse_settings, read_experiment
from zslbench.run.plan import Plan, make_plan
from zslbench.run.queue import CellQueue
from zslbench.tables.text import visible
from zslbench.tables.widths import wrapped

_GRID = (
    "method", "dataset", "features", "semantics", "texts", "attributes", "auxiliary", "control", "protocol", "family",
    "seed",
)  # fmt: skip

_GROUPS = {
    "What to run": ("method", "settings", "experiment"),
    "On what data": ("dataset", "features", "semantics", "texts", "attributes", "auxiliary", "control"),
    "Protocol and splits": (
        "protocol", "family", "splits", "seed", "shots", "train", "train_classes", "without_overlap", "protocol_of",
        "calibrate",
    ),
    "How to run": (
        "rerun", "workers", "scheduler", "scheduler_file", "cluster", "device", "timeout", "memory_limit", "inline",
        "raise", "pdb",
    ),
    "Where results go": ("results", "save_model", "keep_scores", "track", "tracking_uri"),
    "Checks": ("dry_run", "strict"),
}  # fmt: skip

_WARNINGS = 20  # sentences to print after a run
_MODELS = 5  # saved models to name after a run
_PLACES = ("workers", "scheduler", "scheduler_file", "cluster")
_PROCESSES = ("strict", *_PLACES, "timeout", "memory_limit")
_IN_THIS_PROCESS = ("pdb", "raise", "inline")  # options that need the cells here


@click.command(
    cls=Verb,
    groups=_GROUPS,
    examples=[
        "zslbench run --method action2vec --method ridge --dataset hmdb51",
        "zslbench run --method ridge --dataset ucf101 --features vgg16 --splits all",
        "zslbench run --method ridge --dataset hmdb51 --set ridge.alpha=0.1,1,10",
        "zslbench run --experiment experiment.toml --workers 4",
    ],
)
@click.option("--method", multiple=True, help="Method, or METHOD:PRESET. Repeatable.")
@click.option("--dataset", multiple=True, help="Dataset. Repeatable.")
@click.option(
    "--features",
    multiple=True,
    help="Feature set, or A+B: the scores on both, added up. [default: the dataset's only one, or a simulated one if "
    "it has none] Repeatable.",
)
@click.option("--semantics", multiple=True, help="Class vectors, or NAME:key=value,... Repeatable. "
              "[default: of the features' own model, or minilm]")  # fmt: skip
@click.option("--texts", help="Class texts, for methods that read them. [default: shipped]")
@click.option("--attributes", help="An imported matrix, for methods that read attributes. [default: from the texts]")
@click.option("--auxiliary", metavar="DATASET[@FEATURES]", help="Train also on this dataset's videos.")
@click.option(
    "--control",
    multiple=True,
    type=click.Choice(get_args(Control)),
    metavar="CONTROL",
    help="Run each cell also on test videos with shuffled-frames, reversed or single-frame. With +train, as in "
    "reversed+train: on such training videos, too. Repeatable.",
)
@click.option("--protocol", multiple=True, type=click.Choice(list(PROTOCOLS)), help="[default: zsl] Repeatable.")
@click.option("--train", metavar="DATASET", help="Train on this dataset, and test all classes of --dataset.")
@click.option(
    "--train-classes", metavar="FILE", help="With --train: only the classes that this file names, one per line."
)
@click.option(
    "--without-overlap",
    is_flag=True,
    help="With --train: leave out test classes that have the name of a training class.",
)
@click.option(
    "--shots",
    type=click.IntRange(min=1),
    help="Labelled videos per class (few-shot, base-to-novel). [default: 16; 8 if simulated]",
)
@click.option("--family", help="Split family. [default: the usual one of protocol and dataset]")
@click.option(
    "--protocol-of",
    metavar="SOURCE[:SETTING]",
    help="The protocol, family and splits of a source of the ledger, such as x-clip; 'zslbench protocols' lists them.",
)
@click.option(
    "--calibrate/--no-calibrate",
    default=None,
    help="Whether gzsl chooses a factor of calibrated stacking, which takes a second fit. [default: calibrate]",
)
@click.option("--splits", help="Splits: 5 (the first five), 0:10, 3,7 or all. [default: a few, for a first trial]")
@click.option("--seed", multiple=True, type=int, help="Base seed. [default: 0] Repeatable.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="METHOD.PARAMETER=VALUE[,VALUE...]",
    help="Set a parameter; several values run a variant for each, and a grid if several parameters have some. "
    "Repeatable.",
)
@click.option(
    "--experiment",
    type=click.Path(path_type=Path),
    help="TOML file with these options; options on the command line override it.",
)
@RESULTS
@click.option("--workers", type=click.IntRange(1, 1024), help="Local worker processes. [default: one, beside this one]")
@click.option(
    "--inline", is_flag=True, help="Run cells in this process, as debuggers need it; a method can then end the run."
)
@click.option("--raise", is_flag=True, help="Stop at the first failure, with its traceback; implies --inline.")
@click.option("--pdb", is_flag=True, help="As --raise, and open the debugger where the method failed.")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler to use instead, such as tcp://host:8786.")
@click.option("--scheduler-file", type=click.Path(path_type=Path), help="The file of a Dask scheduler to use instead.")
@click.option(
    "--cluster", type=click.Path(path_type=Path), help="TOML file of a SLURM, PBS or LSF cluster to start workers on."
)
@DEVICE
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds per cell (on workers).")
@click.option("--memory-limit", metavar="SIZE", help="Memory per process of a cell, such as 4GiB (on local workers).")
@click.option(
    "--rerun",
    type=click.Choice(["never", "missing", "failed", "all"]),
    default="missing",
    help="Which cells to run: none, those without a result (failed ones too), only failed ones, or all. A finished "
    "result is kept if its cell fails now.",
)
@click.option("--save-model", is_flag=True, help="Save the model of each cell, in models/ of the results folder.")
@click.option(
    "--keep-scores",
    is_flag=False,
    flag_value="float32",
    type=click.Choice(get_args(KeptScores)),
    help="Keep the scores of all classes of each cell, in its scores.npy. [default type: float32]",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Refuse what 'zslbench audit' reports as a leak, and plugins that have not passed 'zslbench check'; run each "
    "method in a process of its own.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and the state of its cells; run nothing.")
@TRACKING_URI
@click.option("--track/--no-track", default=True, help="Whether to copy results into MLflow.")
def command(results: Path, settings: tuple[str, ...], experiment: Path | None, **options: Any) -> int:
    """Run methods on feature sets, keep every result, and show the leaderboard.

    To continue after an interruption, give the same command again: only missing cells run. Several commands may share
    one results folder: each cell is computed by one of them.
    """
    results = results.absolute()  # before a plugin is imported, which may change the working directory
    options["apart"] = options["strict"]
    inline = next((name for name in _IN_THIS_PROCESS if options[name]), None)
    if inline and (other := next((name for name in _PROCESSES if options[name]), None)):
        raise ZslbenchError(f"--{other.replace('_', '-')} needs other processes than this one; leave out --{inline}.")
    options |= {"inline": inline is not None, "stops": options["raise"] or options["pdb"]}
    _check_places(options)
    if not any(options[name] for name in ("scheduler", "scheduler_file", "cluster")):  # else the workers are asked
        check_device()
    checked_size(options["memory_limit"])  # before any work, and also where nothing is left to run
    if options["timeout"] is not None and not math.isfinite(options["timeout"]):
        raise ZslbenchError(f"--timeout {options['timeout']} is no number of seconds; write one such as 600.")
    grid = {name: options[name] for name in _GRID}
    grid |= {
        name: options[name]
        for name in ("splits", "keep_scores", "train", "train_classes", "without_overlap", "shots", "calibrate")
    }
    chosen, setting = _experiment(experiment, settings, grid, options["protocol_of"])
    plan = make_plan(chosen, simulate=simulated)
    if options["strict"]:
        from zslbench.audit.audit import refuse
        from zslbench.cells.checked import refuse_unchecked

        refuse(plan)
        refuse_unchecked([cell.method for cell in plan.cells])
    store = Store(results, keep_models=options["save_model"], keep_scores=chosen.keep_scores)
    if not options["dry_run"]:
        store.prepare()
    todo = cells_to_run(plan.cells, store, options["rerun"])
    announce(plan, todo)
    if options["dry_run"]:
        _show_plan(plan, todo, store)
        return 0
    execution = Execution(**{field.name: options[field.name] for field in fields(Execution)})
    stop_as_by_ctrl_c()
    try:
        failures = run_cells(plan, todo, execution)
    except CellError as stopped:
        return _show_error(stopped.error, store.error_path(stopped.cell.id), debug=options["pdb"])
    if store.keep_models:
        _show_models(plan.cells, store)
    _show_table(plan, store, setting)
    return 1 if failures else 0


def stop_as_by_ctrl_c() -> None:
    """Let SIGTERM stop a run as cleanly as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def announce(plan: Plan, todo: CellQueue) -> None:
    """Print what to know before a run."""
    tell_notes(announcements(plan, todo))


def tell_notes(lines: Iterable[str]) -> None:
    """Print lines on stderr, and the banner of simulated features in a colour."""
    for line in lines:
        echo(wrapped(visible(line, lines=True)), err=True, colours={BANNER: "yellow"})


def _show_error(error: BaseException, path: Path, *, debug: bool) -> int:
    """Print what a method raised, open the debugger where it was raised if that is wanted; return the exit code."""
    echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    echo(f"stopped at the first failure; the traceback is also in {path}", err=True)
    if debug:
        pdb.post_mortem(error.__traceback__)
    return 1


def _check_places(options: dict[str, Any]) -> None:
    """Refuse two places to run cells, and a limit that cannot be kept there."""
    named = [f"--{name.replace('_', '-')}" for name in _PLACES if options[name]]
    if len(named) > 1:
        raise ZslbenchError(f"{named[0]} and {named[1]} name two places to run cells; give one of them.")
    if options["memory_limit"] and named and named != ["--workers"]:
        raise ZslbenchError(
            f"--memory-limit holds for local workers only; with {named[0]}, set the memory where workers are started: "
            f"'memory' in a cluster file, or 'dask worker --memory-limit'."
        )


def _experiment(
    path: Path | None, settings: tuple[str, ...], grid: dict[str, Any], source: str | None
) -> tuple[Experiment, Setting | None]:  # fmt: skip
    merged = read_experiment(path) if path else {}
    merged |= {name: value for name, value in grid.items() if value or (name == "calibrate" and value is False)}
    setting = as_reported(source, merged) if source else None
    in_file = make_experiment({"method": "", "dataset": "", "set": merged.get("set", {})}).set
    chosen = {method: dict(values) for method, values in in_file.items()}
    for method, values in parse_settings(settings).items():
        chosen.setdefault(method, {}).update(values)
    for name in ("method", "dataset"):
        if not merged.get(name):
            raise ZslbenchError(f"name at least one --{name}; 'zslbench {name}s' lists them.")
    return make_experiment(merged | ({"set": chosen} if chosen else {})), setting


def _show_plan(plan: Plan, todo: CellQueue, store: Store) -> None:
    waiting = {cell.id for cell in todo}
    rows = [
        (c.name, f"{c.dataset}@{c.features}", c.semantics, c.protocol, c.family, c.split, c.seed,
         store.state(c.id) or "-", "run" if c.id in waiting else "keep", c.id[:12])
        for c in plan.cells
    ]  # fmt: skip
    table(
        rows, ("method", "features", "semantics", "protocol", "family", "split", "seed", "state", "now", "cell"),
        drop=("cell", "seed", "semantics", "protocol"),
    )  # fmt: skip


def _show_models(cells: list[Cell], store: Store) -> None:
    """Print the ids of the models and a command that uses the first one, and why cells have none."""
    without = [cell.id for cell in cells if not store.has_model(cell.id) and store.state(cell.id) is State.DONE]
    reasons = [text for cell_id in without for text in store.read(cell_id).result.warnings if NO_MODEL_SAYS in text]
    for reason, count in Counter(reasons).items():
        echo(f"note: {count} cells: {reason}.", err=True)
    saved = [cell for cell in cells if store.has_model(cell.id)]
    if not saved:
        echo("no model of these cells is saved.", err=True)
        return
    ids = [
        f"{cell.id[:SHOWN_ID]} ({model_name(cell)}, {cell.family} #{cell.split}, seed {cell.seed})" for cell in saved
    ]
    listed = shlex.join(["zslbench", "models", *results_option(store.root)])
    echo(f"{len(saved)} saved model{'s' * (len(saved) > 1)}, which '{listed}' lists:", err=True)
    for line in ids[:_MODELS]:
        echo(f"  {line}", err=True)
    if len(ids) > _MODELS:
        echo(f"  and {len(ids) - _MODELS} more", err=True)
    echo(f"To recognise classes with the first one:\n  {predict_command(store, saved[0].id)}", err=True)


def _show_warnings(records: list[Record]) -> None:
    """Print each sentence that methods warned of once, with the number of their cells."""
    said = Counter(
        (record.cell.label, text)
        for record in records
        for text in dict.fromkeys(record.result.warnings)
        if NO_MODEL_SAYS not in text
    )
    cells = Counter(record.cell.label for record in records)
    for (label, text), count in list(said.items())[:_WARNINGS]:
        say(f"warning: {label}, {count} of {cells[label]} cells: {text.rstrip('.')}.", err=True)
    if len(said) > _WARNINGS:
        echo(f"warning: {len(said) - _WARNINGS} more; 'zslbench results show CELL' has those of a cell.", err=True)


def _show_table(plan: Plan, store: Store, setting: Setting | None) -> None:
    from zslbench.leaderboard.board import build_rows, defaults_of_run
    from zslbench.leaderboard.tables import write_table

    wanted = {cell.id for cell in plan.cells}
    records, unreadable = store.scan()
    tell_unreadable([cell for cell in unreadable if cell.id in wanted])
    records = [record for record in records if record.cell.id in wanted]
    _show_warnings(records)
    if records:
        board = build_rows(records, defaults=defaults_of_run(plan.cells))
        figure = setting and setting.figure
        if figure and any(figure in row.figures for row in board):
            board = build_rows(records, sort=figure, defaults=defaults_of_run(plan.cells))
        echo(write_table(board))
        echo("'zslbench leaderboard --explain' says what the columns, marks and figures mean.")
        if setting:
            echo("'zslbench leaderboard --published' shows the published figures of this setting beside the rows.")
