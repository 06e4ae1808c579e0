"""``zslbench run``: plan cells, run the missing ones, and show the table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args

import click

from zslbench.cells.cell import Cell, KeptScores, State
from zslbench.cells.rows import Defaults, grouped, registered_defaults
from zslbench.cells.store import NO_MODEL_SAYS, Record, Store
from zslbench.cli._console import DEVICE, RESULTS, TRACKING_URI, check_device, progress, table, tell_unreadable
from zslbench.cli._execution import Execution, checked_size, run_cells
from zslbench.cli._output import echo
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.run.experiment import make_experiment, parse_settings, read_experiment
from zslbench.run.plan import Plan, make_plan
from zslbench.run.queue import CellQueue

_BANNER = """\
################################################################################
##  SIMULATED FEATURES: no video was read. The figures below say nothing      ##
##  about recognising real actions; they only show that everything runs.      ##
##  Import real ones: zslbench features import DATASET NAME --features FILE   ##
################################################################################"""


_GRID = (
    "method", "dataset", "features", "semantics", "texts", "attributes", "auxiliary", "protocol", "family", "seed",
)  # fmt: skip

_WARNINGS = 20  # sentences to print after a run
_PLACES = ("workers", "scheduler", "scheduler_file", "cluster")
_PROCESSES = ("strict", *_PLACES, "timeout", "memory_limit")

Rerun = Literal["never", "missing", "failed", "all"]


@click.command()
@click.option("--method", multiple=True, help="Method, or METHOD:PRESET. Repeatable.")
@click.option("--dataset", multiple=True, help="Dataset. Repeatable.")
@click.option(
    "--features",
    multiple=True,
    help="Feature set. [default: the dataset's only one, or a simulated one if it has none] Repeatable.",
)
@click.option("--semantics", multiple=True, help="Class vectors, or NAME:key=value,... [default: minilm] Repeatable.")
@click.option("--texts", help="Class texts, for methods that read them. [default: shipped]")
@click.option("--attributes", help="An imported matrix, for methods that read attributes. [default: from the texts]")
@click.option("--auxiliary", metavar="DATASET[@FEATURES]", help="Train also on this dataset's videos.")
@click.option("--protocol", multiple=True, type=click.Choice(["zsl", "gzsl"]), help="[default: zsl] Repeatable.")
@click.option("--family", help="Split family. [default: xu-50/50 if the features cover it, else random-50/50]")
@click.option("--splits", help="Splits: 5 (the first five), 0:10, 3,7 or all. [default: 2, for a first trial]")
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
    if options["inline"] and (other := next((name for name in _PROCESSES if options[name]), None)):
        raise ZslbenchError(f"--{other.replace('_', '-')} needs other processes than this one; leave out --inline.")
    _check_places(options)
    if not any(options[name] for name in ("scheduler", "scheduler_file", "cluster")):  # else the workers are asked
        check_device()
    checked_size(options["memory_limit"])  # before any work, and also where nothing is left to run
    if options["timeout"] is not None and not math.isfinite(options["timeout"]):
        raise ZslbenchError(f"--timeout {options['timeout']} is no number of seconds; write one such as 600.")
    grid = {name: options[name] for name in _GRID}
    grid |= {name: options[name] for name in ("splits", "keep_scores")}
    chosen = _experiment(experiment, settings, grid)
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
    announce(plan, todo, store)
    if options["dry_run"]:
        _show_plan(plan, todo, store)
        return 0
    execution = Execution(**{field.name: options[field.name] for field in fields(Execution)})
    failures = run_cells(plan, todo, execution)
    if store.keep_models:
        _show_models(plan.cells, store)
    _show_table(plan, store)
    return 1 if failures else 0


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


def _experiment(path: Path | None, settings: tuple[str, ...], grid: dict[str, Any]) -> Any:
    merged = read_experiment(path) if path else {}
    merged |= {name: value for name, value in grid.items() if value}
    in_file = make_experiment({"method": "", "dataset": "", "set": merged.get("set", {})}).set
    chosen = {method: dict(values) for method, values in in_file.items()}
    for method, values in parse_settings(settings).items():
        chosen.setdefault(method, {}).update(values)
    for name in ("method", "dataset"):
        if not merged.get(name):
            raise ZslbenchError(f"name at least one --{name}; 'zslbench {name}s' lists them.")
    return make_experiment(merged | ({"set": chosen} if chosen else {}))


def simulated(dataset: Dataset) -> FeatureSet:
    """Return the simulated features of a dataset; show progress if they are made."""
    from zslbench.features.simulated import simulate

    with progress(f"simulating features of {dataset.display_name} (once)", "classes") as show:
        return simulate(dataset, progress=show)


def cells_to_run(cells: list[Cell], store: Store, rerun: Rerun) -> CellQueue:
    """Return the cells that ``--rerun`` chooses.

    A cell without a model counts as missing if models are kept, and so does one without all scores if these are.
    """

    def wanted(cell: Cell) -> bool:
        state = store.state(cell.id)
        missing = (
            state is not State.DONE
            or (store.keep_models and store.lacks_model(cell.id))
            or (store.keep_scores is not None and store.lacks_scores(cell.id))
        )
        return {"never": False, "missing": missing, "failed": state not in (None, State.DONE), "all": True}[rerun]

    return CellQueue(cells, store, wanted)


def announce(plan: Plan, todo: CellQueue, store: Store) -> None:
    """Print the plan's notices and size, with a banner if its features are simulated."""
    tell_inputs(plan)
    if any(cell.variant for cell in plan.cells):
        echo("note: the best variant on unseen classes is partly luck; to choose one, use 'zslbench tune'.", err=True)
    waiting = {cell.id for cell in todo}
    unreadable = store.unreadable(cell.id for cell in plan.cells)
    tell_unreadable([cell for cell in unreadable if cell.id in waiting], "it runs again")
    tell_unreadable([cell for cell in unreadable if cell.id not in waiting], "--rerun missing runs it again")
    done = len(plan.cells) - len(todo)
    echo(f"{len(plan.cells)} cells: {done} kept from before, {len(todo)} to run; results in {store.root}", err=True)


def tell_inputs(plan: Plan) -> None:
    """Print the plan's notices, with a banner if its features are simulated."""
    if plan.simulated:
        echo(_BANNER, err=True, colours={_BANNER: "yellow"})
    for notice in dict.fromkeys(plan.notices):
        echo(f"note: {notice}", err=True)


def _show_plan(plan: Plan, todo: CellQueue, store: Store) -> None:
    waiting = {cell.id for cell in todo}
    rows = [
        (c.name, f"{c.dataset}@{c.features}", c.semantics, c.protocol, c.family, c.split, c.seed,
         store.state(c.id) or "-", "run" if c.id in waiting else "keep", c.id[:12])
        for c in plan.cells
    ]  # fmt: skip
    table(rows, ("method", "features", "semantics", "protocol", "family", "split", "seed", "state", "now", "cell"))


def _show_models(cells: list[Cell], store: Store) -> None:
    """Print where the models are, and why cells have none."""
    without = [cell.id for cell in cells if not store.has_model(cell.id) and store.state(cell.id) is State.DONE]
    reasons = [text for cell_id in without for text in store.read(cell_id).result.warnings if NO_MODEL_SAYS in text]
    for reason, count in Counter(reasons).items():
        echo(f"note: {count} cells: {reason}.", err=True)
    kept = sum(store.has_model(cell.id) for cell in cells)
    echo(f"{kept} models of these cells in {store.models}", err=True)


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
        echo(f"warning: {label}, {count} of {cells[label]} cells: {text.rstrip('.')}.", err=True)
    if len(said) > _WARNINGS:
        echo(f"warning: {len(said) - _WARNINGS} more; 'zslbench results show CELL' has those of a cell.", err=True)


def _show_table(plan: Plan, store: Store) -> None:
    from zslbench.leaderboard.board import build_rows
    from zslbench.leaderboard.tables import write_table

    wanted = {cell.id for cell in plan.cells}
    records, unreadable = store.scan()
    tell_unreadable([cell for cell in unreadable if cell.id in wanted])
    records = [record for record in records if record.cell.id in wanted]
    _show_warnings(records)
    if records:
        echo(write_table(build_rows(records, defaults=_without_varied(plan.cells))))


def _without_varied(cells: list[Cell]) -> Defaults:
    """Return the parameters of labels without those that vary in this run, so that each of its rows shows them."""
    by_label = grouped(cells, lambda cell: cell.label)
    varied = {
        label: {name for cell in cells for name, value in cell.params.items() if value != cells[0].params[name]}
        for label, cells in by_label.items()
    }

    def defaults(label: str) -> Mapping[str, Any] | None:
        known = registered_defaults(label)
        return known and {name: value for name, value in known.items() if name not in varied.get(label, ())}

    return defaults
