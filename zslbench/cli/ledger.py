"""``zslbench ledger``: browse published figures, with their sources and caveats."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import count, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import click

from zslbench.cli._console import EXPLAIN, confirm, table
from zslbench.cli._help import OwnVerbGroup
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.errors import NotFoundError, suggest
from zslbench.ledger.keys import published_keys
from zslbench.ledger.published import Published, filter_results, published_problems, published_results
from zslbench.tables.document import Document, Section
from zslbench.tables.notes import Note, note_lines
from zslbench.tables.widths import wrapped
from zslbench.tables.writer import Column, columns, csv_text, table_text

_HEADERS = ("system", "dataset", "protocol", "metric", "value", "±", "± is over", "features", "class vectors", "marks",
            "source", "caveats")  # fmt: skip
_WIDTHS = {"system": 34, "protocol": 12, "metric": 9, "± is over": 26, "class vectors": 12, "marks": 14, "caveats": 9}
_DROP = ("± is over", "class vectors", "features", "caveats", "metric")
_NOTES = (
    Note(
        "Published figures are annotations. Their protocols, features and class vectors differ, so they are not "
        "ranked, neither among themselves nor with measured ones ('zslbench leaderboard').",
        "Published figures are not ranked: their protocols and inputs differ.",
    ),
    Note(
        "quoted: read in a work that quotes the figure, not at its source. transductive: used unlabelled test videos. "
        "auxiliary data: trained also on other datasets. ?: not known."
    ),
)
_CAVEATS = "Caveats: 'zslbench ledger SYSTEM' has those of a figure, --explain those of all."


@click.group(
    cls=OwnVerbGroup,
    examples=[
        "zslbench ledger --dataset hmdb51 --protocol 50/50",
        "zslbench ledger action2vec",
        "zslbench ledger import results/microsoft__xclip-base-patch16",
    ],
)
@click.argument("name", required=False)
@click.option("--dataset", multiple=True, help="Only this dataset. Repeatable.")
@click.option("--protocol", multiple=True, help="Only protocols whose name contains this, such as 50/50. Repeatable.")
@click.option("--system", multiple=True, help="Only systems whose name contains this. Repeatable.")
@click.option("--source", multiple=True, help="Only sources whose name contains this. Repeatable.")
@EXPLAIN
@table_options(paper=True)
def command(name: str | None, explain: bool, target: Target, **filters: tuple[str, ...]) -> None:
    """Browse published figures, with their sources and caveats.

    With NAME, show all fields of every figure of one system, as in 'zslbench ledger SAV'.
    """
    for problem in published_problems():
        echo(f"note: {problem}", err=True)
    rows = filter_results(published_results(), **filters)
    if name is not None:
        rows = _of_system(rows, name)
    if name is not None and target.fmt == "console":
        echo(wrapped("\n".join(_whole(rows))))
        shown = {row.system for row in rows}
        others = {row.system for row in published_results() if name.casefold() in row.system.casefold()} - shown
        if others:
            echo(wrapped(f"\nAlso: {'; '.join(sorted(others))}."))
        return
    rows.sort(key=lambda row: (row.dataset, row.protocol, row.metric))
    if target.fmt == "console":
        echo(_plain(rows, explain=explain))
    else:
        target.write(_document(rows, target))


@command.command(
    "import", short_help="Import results of MTEB's video tasks.",
    examples=["zslbench ledger import results/microsoft__xclip-base-patch16"],
)  # fmt: skip
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--model", help="The model's name, if there is no model_meta.json beside it.")
def import_(path: Path, model: str | None) -> None:
    """Import results of MTEB on HMDB51, UCF101 and Kinetics as published figures.

    PATH is a result file of MTEB (TASK.json), or a folder of them, such as that of a model in
    embeddings-benchmark/results. Each figure gets its caveats: which classes, which videos, which prompt. Importing a
    file again replaces its figures.
    """
    from zslbench.ledger.mteb import import_mteb

    found = import_mteb(path, model)
    rows = [row for each in found.figures.values() for row in each]
    cells = [(row.system, row.source.rpartition(" ")[2], row.dataset, row.protocol, row.text) for row in rows]
    table(cells, ("system", "task", "dataset", "protocol", "%"), right=("%",), drop=("dataset",))
    left_out = f" {len(found.others)} files of other tasks were left out." if found.others else ""
    say(f"{len(rows)} published figures.{left_out}")
    say(f"See 'zslbench ledger {rows[0].system}' for the caveats, and 'zslbench leaderboard --published'.")


@command.command(examples=["zslbench ledger remove microsoft/xclip-base-patch16"])
@click.argument("system")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(system: str, yes: bool) -> None:
    """Delete the imported figures of SYSTEM."""
    from zslbench.ledger.mteb import imported_files

    files = imported_files(system)
    confirm(f"Delete the {len(files)} imported files of {system}?", f"{system} was not deleted", yes=yes)
    for path in files:
        path.unlink()
    say(f"removed {len(files)} files of {system}")


def _of_system(rows: list[Published], name: str) -> list[Published]:
    """Return the rows of the system of that name, else of the systems whose name contains it."""
    wanted = name.casefold()
    found = [row for row in rows if row.system.casefold() == wanted]
    found = found or [row for row in rows if wanted in row.system.casefold()]
    if not found:
        known = {row.system for row in rows}
        raise NotFoundError(f"no published figure has the system {name!r}.{suggest(name, known)}")
    return found


def _cells(rows: Sequence[Published]) -> tuple[list[list[str]], list[Note]]:
    """Return the table's cells and its notes: sources by letter, caveats by number."""
    letters = ("".join(each) for n in count(1) for each in product(ascii_lowercase, repeat=n))  # a, b, ..., z, aa, ...
    sources = dict(zip(dict.fromkeys(row.source for row in rows), letters, strict=False))
    caveats = dict(zip(dict.fromkeys(caveat for row in rows for caveat in row.caveats), count(1), strict=False))
    cells = [
        [row.system, row.dataset, row.protocol, row.metric, row.text, row.spread_text, row.spread_over or "",
         row.features or "?", row.class_vectors or "?", ", ".join(_marks(row)), sources[row.source],
         " ".join(str(caveats[caveat]) for caveat in row.caveats)]
        for row in rows
    ]  # fmt: skip
    notes = [Note(f"[{letter}] {source}", f"[{letter}] {source}") for source, letter in sources.items()]
    return cells, [*notes, *(Note(f"[{number}] {caveat}") for caveat, number in caveats.items()), *_NOTES]


def _marks(row: Published) -> tuple[str, ...]:
    unknown = row.transductive is None and row.in_percent
    return (*row.marks, "transductive?") if unknown else row.marks


def _plain(rows: Sequence[Published], *, explain: bool) -> str:
    """Return the table as a console shows it; only ``explain`` lists caveats."""
    cells, notes = _cells(rows)
    described = columns(_HEADERS[: None if explain else -1], right=("value", "±"), drop=_DROP, widths=_WIDTHS)
    lines = note_lines("console", notes, explain=explain)
    return "\n".join([table_text("console", described, cells), "", *lines, *([] if explain else [wrapped(_CAVEATS)])])


def _document(rows: Sequence[Published], target: Target) -> Document:
    cells, notes = _cells(rows)
    fmt, texts = target.fmt, [note.text for note in notes]
    title = "" if fmt == "markdown" else "Published figures, not ranked"
    key = "-".join(dict.fromkeys(["published", *(row.dataset for row in rows)][:4]))
    own = {"csv": _csv(rows)} if fmt == "csv" else {"json": _json(rows)} if fmt == "json" else {}
    section = Section[Any](columns(_HEADERS, right=("value", "±")), cells, title, key)
    if fmt == "latex":
        section = _paper_section(list(zip(rows, cells, strict=True)), title, key, spreads=target.latex.intervals)
        texts.append(_BEST)
    return Document(title="zslbench ledger", sections=[section], notes=texts, own=own)


_Line = tuple[Published, Sequence[str]]  # a row and its cells
_BEST = (
    "Bold and underlined: best and second-best of the figures that one source reports on the same data, with the same "
    "metric, features, class vectors and use of test videos and other datasets."
)


def _paper_section(lines: Sequence[_Line], title: str, key: str, *, spreads: bool) -> Section[_Line]:
    """Return a table with fewer columns, and the dataset as a heading."""

    def value(line: _Line) -> str:
        spread = line[0].spread_text if spreads else ""
        return f"{line[0].text} ± {spread}" if spread else line[0].text

    def notes(line: _Line) -> str:
        *_, marks, source, caveats = line[1]
        return ", ".join(filter(None, [source, *caveats.split(), marks]))

    shown: list[Column[_Line]] = [
        Column("system", lambda line: line[0].system),
        Column("protocol", lambda line: line[0].protocol),
        Column("metric", lambda line: line[0].metric),
        Column("value", value, "right", figure=lambda line: line[0].value),
        Column("features; class vectors", lambda line: f"{line[0].features or '?'}; {line[0].class_vectors or '?'}"),
        Column("notes", notes),
    ]
    return Section(shown, lines, title, key, group=lambda line: line[0].dataset, peers=lambda line: _peers(line[0]))


def _peers(row: Published) -> Hashable:
    """Return what figures share that a reader may compare."""
    use = row.transductive, row.auxiliary_data
    return row.source, row.dataset, row.protocol, row.metric, row.features, row.class_vectors, use


def _keys() -> dict[int, str]:
    """Return identity of a row -> its key, which ``zslbench why`` takes."""
    return {id(row): key for key, row in published_keys().items()}


def _csv(rows: Sequence[Published]) -> str:
    keys = _keys()
    rest = [{**row.model_dump(), "value": row.text, "caveats": " | ".join(row.caveats)} for row in rows]
    return csv_text({"key": keys[id(row)], **fields} for row, fields in zip(rows, rest, strict=True))


def _json(rows: Sequence[Published]) -> str:
    keys = _keys()
    content = {
        "rows": [{"key": keys[id(row)], **row.model_dump(mode="json")} for row in rows],
        "notes": [note.text for note in _NOTES],
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def _whole(rows: Sequence[Published]) -> Iterable[str]:
    """Yield the lines that show every field of each row."""
    keys = _keys()
    yesno: Callable[[bool | None], str] = lambda known: "?" if known is None else "yes" if known else "no"  # noqa: E731
    for system in dict.fromkeys(row.system for row in rows):
        yield system
        for row in (row for row in rows if row.system == system):
            spread = f" ± {row.spread_text} ({row.spread_over})" if row.spread is not None else ""
            unit = " %" if row.in_percent else ""
            yield f"\n  {row.dataset}, {row.protocol}, {row.metric}: {row.text}{spread}{unit}"
            setup = "; ".join(f"{key}: {value}" for key, value in row.setup.items())
            yield f"    key: {keys[id(row)]}"
            yield f"    setting: {row.setting or '-'}{f'; {setup}' if setup else ''}"
            yield f"    features: {row.features or '?'}; class vectors: {row.class_vectors or '?'}"
            yield f"    transductive: {yesno(row.transductive)}; auxiliary data: {yesno(row.auxiliary_data)}"
            yield f"    source: {row.source} ({'read there' if row.read_at_source else 'quoted, not read at source'})"
            yield from (f"    caveat: {caveat}" for caveat in row.caveats)
        yield ""
    yield _NOTES[0].text
