"""``zslbench leaderboard``: show the results as a table."""

from __future__ import annotations

import json
import os

# Hundreds of small matrix products follow. On a busy machine, BLAS threads wait for each other ten times as long as
# they work. BLAS reads the variable when numpy is imported, so it is set before.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from zslbench.cells.checked import passed_checks
from zslbench.cells.store import Record, Store
from zslbench.cli._console import EXPLAIN, EXPLAINED, READ_RESULTS, add_options, shown_path, tell_unreadable
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli._written import Target, table_options
from zslbench.errors import ZslbenchError
from zslbench.features.ensemble import PLUS
from zslbench.leaderboard.board import METRICS, Leaderboard, build_rows
from zslbench.leaderboard.paper import board_document
from zslbench.leaderboard.tables import write_table
from zslbench.tables.document import Document

FILTERS = {
    "method": "this METHOD or METHOD:PRESET", "dataset": "this dataset", "features": "this feature set",
    "semantics": "these class vectors", "protocol": "this protocol", "family": "this split family",
    "control": "this control, or 'none'",
}  # fmt: skip


def filter_options(*names: str) -> Callable[[Any], Any]:
    """Return a decorator that gives a command these filters of :func:`read_records`."""
    return add_options(
        click.option(f"--{name}", multiple=True, help=f"Only {FILTERS[name]}. Repeatable.") for name in names
    )


_GROUPS = {
    "Which results": ("results", *FILTERS, "checked", "all_versions"),
    "Ranking": ("sort", "mix_budgets", "published"),
    "Output": ("fmt", "out", "explain", "label", "caption", "intervals"),
}


@click.command(
    cls=Verb,
    groups=_GROUPS,
    examples=[
        "zslbench leaderboard --dataset hmdb51",
        "zslbench leaderboard --dataset hmdb51 --out table.tex --label tab:main",
    ],
)
@READ_RESULTS
@filter_options(*FILTERS)
@click.option("--sort", metavar="METRIC", help=f"Rank by {', '.join(METRICS)}. [default: H in gzsl, else top1]")
@click.option("--mix-budgets", is_flag=True, help="Rank methods of different information budgets together.")
@click.option("--all-versions", is_flag=True, help="Show also rows of older code and older data.")
@click.option("--checked", is_flag=True, help="Only methods whose source, as it ran, has passed 'zslbench check'.")
@click.option("--published", is_flag=True, help="Show also published figures, in a separate block.")
@EXPLAIN
@table_options(paper=True)
def command(
    results: Path, sort: str | None, mix_budgets: bool, all_versions: bool, checked: bool, published: bool,
    explain: bool, target: Target, **filters: tuple[str, ...],
) -> None:  # fmt: skip
    """Show the results as a table.

    Methods are ranked within one table (features, protocol, splits, class vectors) and one information budget.
    """
    records = read_records(results, filters)
    if checked:
        records = [record for record in records if passed_checks(record)]
        if not records:
            raise ZslbenchError("no method of these rows has passed the checks; run 'zslbench check METHOD'.")
    board = build_rows(records, sort=sort, mix_budgets=mix_budgets, all_versions=all_versions)
    if target.fmt == "console":
        _print(board, published=published, explain=explain)
        return
    document = board_document(board, target.fmt, intervals=target.latex.intervals)
    target.write(_with_published(document, board, target.fmt) if published else document)


def _print(board: Leaderboard, *, published: bool, explain: bool) -> None:
    text = write_table(board, explain=explain)
    if published:
        from zslbench.leaderboard.agreement import published_block

        text += f"\n\n{published_block(board, 'console', explain=explain)}"
    echo(text if explain else f"{text}\n{EXPLAINED}")


def _with_published(document: Document, board: Leaderboard, fmt: str) -> Document:
    from zslbench.leaderboard.agreement import block_rows, published_block, published_section

    if fmt == "csv":
        raise ZslbenchError(
            "--published has no CSV; 'zslbench ledger --format csv' writes the published figures alone."
        )
    if fmt == "json":
        record = json.loads(document.own[fmt]) | {"published": block_rows(board)}
        return replace(document, own={}, record=record)
    if text := document.own.get(fmt):
        return replace(document, own={fmt: f"{text}\n\n{published_block(board, fmt)}"})
    section = published_section(board, paper=fmt == "latex")
    notes = [*document.notes, *section.notes] if fmt == "html" else []
    return replace(document, sections=[*document.sections, section], notes=notes)


def read_records(results: Path, filters: Mapping[str, tuple[str, ...]]) -> list[Record]:
    """Return the stored cells that pass every filter, and print those that cannot be read; never create the folder.

    Raises
    ------
    ZslbenchError
        Nothing is stored there, or nothing passes a filter; the message has the existing values.
    """
    records, unreadable = Store(results).scan()
    tell_unreadable(unreadable)
    if not records:
        raise ZslbenchError(
            f"no result is stored in {shown_path(results)}; run something first, such as "
            "'zslbench run --method ridge --dataset hmdb51', or point --results at another folder."
        )
    for name, wanted in filters.items():
        spelled = {PLUS.join(sorted(each.split(PLUS))) for each in wanted} if name == "features" else wanted
        kept = [record for record in records if _values(record, name).intersection(spelled)]
        if wanted and not kept:
            known = sorted({value for record in records for value in _values(record, name)})
            raise ZslbenchError(
                f"no result in {shown_path(results)} has --{name} {' or '.join(wanted)}; there is: {', '.join(known)}."
            )
        records = kept or records
    return records


def _values(record: Record, name: str) -> set[str]:
    """Return the values of a filter that let a record pass."""
    value = getattr(record.cell, name) or "none"
    return {value, record.cell.label} if name == "method" else {value}
