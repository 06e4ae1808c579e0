"""``zslbench why``: what differs between a published figure and a measured row, and what is known of its effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zslbench.audit.inputs import mark_notes, marks
from zslbench.cells.rows import Row, marked, table_of
from zslbench.cells.store import Record, Store
from zslbench.cli._console import READ_RESULTS
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.cli.leaderboard import filter_options, read_records
from zslbench.datasets.catalog import dataset_name
from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.leaderboard.board import build_rows
from zslbench.ledger.keys import find_published, key_of
from zslbench.ledger.reported import datasets_here
from zslbench.tables.document import Document, Section
from zslbench.tables.widths import filled, shell_lines
from zslbench.tables.writer import columns, number_text, table_text

if TYPE_CHECKING:
    from zslbench.leaderboard.differences import Explanation

_HEADERS = ("differs", "published", "here", "effect", "measured on")
_WIDTHS = (11, 20, 16, None, 19)  # together at most 80 characters


@click.command(cls=Verb, examples=["zslbench why sync@ucf101:truze-v1 ridge"])
@click.argument("ledger_row")
@click.argument("my_row")
@READ_RESULTS
@filter_options("features", "semantics", "protocol", "family")
@table_options()
def command(ledger_row: str, my_row: str, results: Path, target: Target, **filters: tuple[str, ...]) -> None:
    """List what differs between a published figure and a measured one, and measure the effect where possible.

    LEDGER_ROW is SYSTEM@DATASET:PROTOCOL, or a part of it, such as frozen-clip@ucf101:official3; 'zslbench ledger
    SYSTEM' prints the keys. MY_ROW is a method, or the name of a row of the leaderboard. An effect is how the figure
    here moves if one thing is done as published. It is measured on the row's own cells, or by another row in the
    results, or computed from the scores that it kept (run --keep-scores).
    """
    from zslbench.leaderboard.why import explain

    system, at, place = ledger_row.partition("@")
    dataset, colon, protocol = place.partition(":")
    published = find_published(system + at + dataset_name(dataset) + colon + protocol)
    datasets = datasets_here(published) or (published.dataset,)
    # A control of time answers another question than a published figure.
    records = read_records(results, {"dataset": datasets, "control": ("none",)})
    rows = list(build_rows(records))
    mine = _row(rows, my_row, filters)
    cell = next(r.cell for r in records if _of_row(r, mine))
    own = [r for r in records if _of_row(r, mine)]
    made = explain(published, mine, cell, rows, lambda family: _reread(Store(results), own, family, mine.primary))
    codes = tuple(dict.fromkeys(code for found in marks(own).values() for code in found))
    mine = marked(mine, codes)
    if target.fmt != "console":
        target.write(_document(made, mine))
        return
    say(f"published: {key_of(published)}, {published.metric} {published.text}\n  {published.source}")
    say(f"here:      {mine.name}\n  {mine.table.title}, {made.figure} {made.value:.1f}\n")
    echo(_table(made))
    if made.to_run:
        echo(f"\nTo measure the effect of the splits:\n{shell_lines(made.to_run)}")
    echo(f"\n{filled(made.conclusion)}")
    for note in mark_notes(codes):
        echo(f"\n{filled(note)}")


def _reread(store: Store, records: Sequence[Record], family: str, figure: str) -> float | None:
    """Return a figure on the splits of a family from kept scores, if there are any and they can be read so."""
    from zslbench.rescoring.rescore import rescore

    try:
        (found,) = rescore(store, records, [family])
    except ZslbenchError:
        return None
    return found.rows[0].figures.get(figure) if found.rows else None


def _of_row(record: Record, row: Row) -> bool:
    cell = record.cell
    return table_of(cell) == row.table and cell.label == row.label and cell.params == row.params


def _row(rows: Sequence[Row], name: str, filters: dict[str, tuple[str, ...]]) -> Row:
    """Return the row of that name, or of that method, that passes the filters.

    Raises
    ------
    NotFoundError
        No row has the name.
    ZslbenchError
        Several rows have it; the message lists them.
    """
    found = [row for row in rows if name in (row.name, row.label, row.method)]
    if not found:
        raise NotFoundError(
            f"no row of the results on this dataset is called {name!r}.{suggest(name, {row.label for row in rows})}"
        )
    kept = [row for row in found if all(not v or getattr(row.table, k) in v for k, v in filters.items())]
    if len(kept) != 1:
        tables = [f"{row.name} on {row.table.title}" for row in kept or found]
        how = "narrow them with --features, --semantics, --protocol or --family, or write the whole name"
        raise ZslbenchError(f"{len(kept) or 'no'} rows are {name!r} with these options: {some(tables, 4)}; {how}.")
    return kept[0]


def _cells(made: Explanation) -> list[tuple[str, ...]]:
    return [
        (each.what, each.published, each.measured, "-" if each.points is None else f"{each.points:+.1f}", each.how)
        for each in made.differences
    ]


def _table(made: Explanation) -> str:
    described = zip(columns(_HEADERS, right=("effect",)), _WIDTHS, strict=True)
    return table_text("console", [replace(column, width=width) for column, width in described], _cells(made))


def _document(made: Explanation, mine: Row) -> Document:
    key = key_of(made.published)
    title = (
        f"{key}, {made.published.metric} {made.published.text}, and {mine.name}, {made.figure} {made.value:.1f} "
        f"({mine.table.title})"
    )
    notes = [made.conclusion, f"Published in {made.published.source}.", *mark_notes(mine.codes)]
    section = Section(columns(_HEADERS, right=("effect",)), _cells(made), title, key=f"why-{key}")
    facts = [asdict(each) for each in made.differences]
    return Document("zslbench why", [section], notes, facts, _record(made))


def _record(made: Explanation) -> dict[str, object]:
    return {
        "published": {"key": key_of(made.published), **made.published.model_dump(mode="json")},
        "row": made.row and made.row.name,
        "figure": made.figure,
        "value": number_text(made.value, 2),
        "gap": round(made.gap, 2),
        "differences": [asdict(each) for each in made.differences],
        "unsaid": made.unsaid,
        "to_run": made.to_run or None,
        "conclusion": made.conclusion,
    }
