"""``zslbench reproduce``: run a paper's experiments, and compare its figures with the measured ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from zslbench.api import run_cells, simulated
from zslbench.cells.store import Store
from zslbench.cli._console import DEVICE, RESULTS, TRACKING_URI, WrittenPath, check_device, command_line, table
from zslbench.cli._help import Verb
from zslbench.cli._model import trained
from zslbench.cli._output import echo
from zslbench.cli.run import announce, stop_as_by_ctrl_c
from zslbench.reproduce.reproduction import Entry, Reproduction, entries, prepare
from zslbench.reproduce.tables import interval, measured_as, percent, status, table1, table2
from zslbench.run.execution import Execution, cells_to_run


@click.command(cls=Verb, examples=["zslbench reproduce action2vec --dataset ucf101 --features c3d --quick"])
@click.argument("paper")
@click.option("--dataset", multiple=True, help="Dataset. [default: those of the paper that have features] Repeatable.")
@click.option("--features", help="Feature set. [default: the only one of each dataset]")
@click.option("--semantics", default="minilm", help="Class vectors, or NAME:key=value,...")
@click.option("--splits", help="Splits per family: 5, 0:10 or all. [default: as in the paper's file]")
@click.option(
    "--quick", is_flag=True, help="Run two splits, small networks and one epoch, to test that everything works."
)
@click.option("--seed", type=int, default=0, help="Base seed.")
@RESULTS
@DEVICE
@click.option("--out", type=WrittenPath(file_okay=False), help="Folder. [default: in RESULTS/reproduce]")
@click.option("--workers", type=click.IntRange(min=1), help="Local worker processes. [default: one, beside this one]")
@TRACKING_URI
@click.option("--track/--no-track", default=True, help="Whether to copy results into MLflow.")
def command(paper: str, results: Path, out: Path | None, workers: int | None, **options: Any) -> int:
    """Run the experiments of PAPER (such as action2vec), and compare its figures with the measured ones.

    To continue after an interruption, give the same command again: only missing cells run. Tables, pictures and a page
    with all of them are written into one folder.
    """
    from zslbench.ledger.papers import get_paper
    from zslbench.report.page import require_report_extra
    from zslbench.reproduce.page import check_folder, write_folder
    from zslbench.reproduce.semantic import foreseen, not_made, pictures, tests_of
    from zslbench.reproduce.semantic_tables import semantic_tables

    results = results.absolute()  # before a plugin is imported, which may change the working directory
    check_device()
    require_report_extra()  # before the run, which may take days
    known = get_paper(paper)
    if out:
        check_folder(out)
    made = prepare(
        paper, known, datasets=options["dataset"], simulate=simulated,
        **{name: options[name] for name in ("features", "semantics", "splits", "quick", "seed")},
    )  # fmt: skip
    folder = out or results / "reproduce" / made.folder
    store = Store(results)
    store.prepare()
    check_folder(folder)
    for sentence in foreseen(made):  # the first step that may download something
        echo(f"note: {sentence}", err=True)
    todo = cells_to_run(made.plan.cells, store, "missing")
    announce(made.plan, todo)
    execution = Execution(workers=workers, tracking_uri=options["tracking_uri"], track=options["track"])
    stop_as_by_ctrl_c()
    failures = run_cells(made.plan, todo, execution)
    tests = tests_of(made, partial(trained, store=store, everything=True))
    found = entries(made, store)
    tables = [table1(made, found), table2(made, found), *semantic_tables(made, tests)]
    names = write_folder(folder, made, tables, pictures(made, tests), command_line())
    _show(found, made)
    for sentence in not_made(tests):
        echo(sentence)
    echo(f"{len(names)} files in {folder}; open {folder / 'index.html'}")
    return 1 if failures else 0


def _show(found: list[Entry], made: Reproduction) -> None:
    """Print the rows of the main table that were run."""
    rows = [
        (entry.task.dataset, entry.task.ratio.name, measured_as(made, entry.task.row, entry.task.dataset),
         percent(entry.comparison.measured), interval(entry.comparison.low, entry.comparison.high),
         entry.comparison.published.text if entry.comparison.published else "-", status(entry.comparison))
        for entry in found
        if entry.task.dataset in made.features
    ]  # fmt: skip
    table(
        rows,
        ("dataset", "seen/unseen", "row", "top-1 %", "95 % over classes", "published", "status"),
        drop=("95 % over classes", "seen/unseen"),
        least={"status": 16},
    )
