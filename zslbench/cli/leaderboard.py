"""``zslbench leaderboard``: show the results as a table."""

from __future__ import annotations

import json
import os

# Hundreds of small matrix products follow. On a busy machine, BLAS threads wait for each other ten times as long as
# they work. BLAS reads the variable when numpy is imported, so it is set before.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from zslbench.cells.checked import passed_checks
from zslbench.cells.store import Record, Store
from zslbench.cli._console import EXPLAIN, EXPLAINED, READ_RESULTS, add_options, shown_path, tell_unreadable
from zslbench.cli._files import FILE
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.files import new_file
from zslbench.leaderboard.board import METRICS, Leaderboard, build_rows
from zslbench.leaderboard.tables import BOARD_FORMATS, write_table

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


@click.command(
    cls=Verb,
    examples=[
        "zslbench leaderboard --dataset hmdb51",
        "zslbench leaderboard --published --format markdown --out table.md",
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
@click.option("--format", "fmt", type=click.Choice(BOARD_FORMATS), default="console")
@click.option("--out", type=FILE, help="Write to this file instead of printing.")
def command(
    results: Path, sort: str | None, mix_budgets: bool, all_versions: bool, checked: bool, published: bool,
    explain: bool, fmt: str, out: Path | None, **filters: tuple[str, ...],
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
    text = write_table(board, fmt, explain=explain)
    if published:
        text = _with_published(text, board, fmt, explain=explain)
    if fmt == "console" and not explain:
        text += f"\n{EXPLAINED}"
    if out is None:
        echo(text)
        return
    with new_file(out, option="--out") as work:
        work.write_text(text + "\n", encoding="utf-8")
    echo(f"{len(board)} rows written to {out}", err=True)


def _with_published(text: str, board: Leaderboard, fmt: str, *, explain: bool) -> str:
    from zslbench.leaderboard.agreement import BLOCK_FORMATS, block_rows, published_block

    if fmt not in BLOCK_FORMATS:
        raise ZslbenchError(
            f"--published needs --format {', '.join(BLOCK_FORMATS)}; 'zslbench ledger --format csv' writes the "
            f"published figures alone."
        )
    if fmt == "json":
        return json.dumps(json.loads(text) | {"published": block_rows(board)}, indent=1, ensure_ascii=False)
    return f"{text}\n\n{published_block(board, fmt, explain=explain)}"


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
        kept = [record for record in records if _values(record, name).intersection(wanted)]
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
