"""Write rescored figures: console and Markdown for people, LaTeX for papers, CSV and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zslbench.audit.inputs import mark_notes
from zslbench.errors import some
from zslbench.leaderboard.notes import SIMULATED_NOTE
from zslbench.leaderboard.tables import LONG_NAMES
from zslbench.rescoring.rescore import Rescored, Rescoring
from zslbench.tables.document import Document, Section
from zslbench.tables.notes import Note, note_lines
from zslbench.tables.widths import wrapped
from zslbench.tables.writer import (
    Column,
    Shown,
    csv_text,
    escape,
    number_text,
    share_text,
    table_text,
    without_nan,
)


def _top1(row: Rescored) -> Shown:
    low, high = (share_text(row.figures[name]) for name in ("low", "high"))
    interval = "" if low == "-" else f" [{low}, {high}]"
    return Shown(f"{share_text(row.figures['top1'])}{interval}", row.figures["top1"])


def _share(header: str, name: str, drop: int) -> Column[Rescored]:
    return Column(header, lambda row: share_text(row.figures.get(name)), "right", drop=drop)


_COLUMNS: tuple[Column[Rescored], ...] = (
    Column("protocol", lambda row: row.reading.name),
    Column("way", lambda row: number_text(row.n_classes, 0), "right"),
    Column("videos", lambda row: f"{row.n_videos:,.0f}", "right"),
    Column("top-1 %, 95 %\nover classes", _top1, "right"),
    _share("per\nclass", "top1_per_class", 1), _share("top-5", "top5", 3), _share("chance", "chance", 2),
    _share("sd", "split_std", 4),
)  # fmt: skip


_TOP1 = 3  # place of the column with the interval


def rescored_text(found: Sequence[Rescoring], fmt: str = "console", *, explain: bool = False) -> str:
    """Return all readings as ``console``, ``markdown``, ``csv`` or ``json``, without a newline at its end.

    Parameters
    ----------
    explain
        Whether a console prints all notes as whole sentences.
    """
    if fmt == "csv":
        return csv_text(_facts(found))
    if fmt == "json":
        refused = [{"title": each.title, "refused": each.refused} for each in found if each.refused]
        notes = [note.text for note in _notes(found)]
        record = {"rows": _facts(found), "refused": refused, "notes": notes}
        return json.dumps(record, indent=1, ensure_ascii=False)
    heading = "### " if fmt == "markdown" else ""
    parts = []
    for each in found:
        parts.append(heading + escape(fmt, each.title))
        parts += [table_text(fmt, _COLUMNS, each.rows)] if each.rows else []
        said = note_lines(fmt, [Note(line, line) for line in _not_read(each)])
        parts += ["\n".join(said)] if said else []
    notes = note_lines(fmt, _notes(found), explain=explain)
    text = "\n\n".join([*parts, "\n".join(notes)])
    return wrapped(text) if fmt == "console" else text


def rescored_document(found: Sequence[Rescoring], fmt: str, *, intervals: bool = True) -> Document:
    """Return all readings as a document for one format, but not ``console``.

    Parameters
    ----------
    intervals
        Whether tables in LaTeX have intervals.
    """
    columns = list(_COLUMNS)
    if not intervals:
        columns[_TOP1] = _share("top-1 %", "top1", 0)
    sections = [
        Section(columns, each.rows, each.title, key=f"rescored-{each.row.table.dataset}", notes=_not_read(each))
        for each in found
        if each.rows
    ]
    lines = [] if fmt == "latex" else [line for each in found for line in _not_read(each)]
    own = {} if fmt in ("latex", "html") else {fmt: rescored_text(found, fmt)}
    warning = SIMULATED_NOTE.text if any(each.row.simulated for each in found) else ""
    notes = [*lines, *(note.text for note in _notes(found))]
    return Document("zslbench results rescore", sections, notes, own=own, warning=warning)


def _not_read(rescoring: Rescoring) -> list[str]:
    """Return a sentence for each reason why something could not be read."""
    names: dict[str, list[str]] = {}
    for name, why in rescoring.refused.items():
        names.setdefault(why, []).append(name)
    return [f"Not read: {some(same, 4)}: {why}." for why, same in names.items()]


def _notes(found: Sequence[Rescoring]) -> list[Note]:
    """Return what every reader of these rows should know."""
    rows = [row for each in found for row in each.rows]
    notes = [SIMULATED_NOTE] if any(each.row.simulated for each in found) else []
    notes.append(Note("Scores of finished runs, read again: nothing was trained or scored for this table."))
    if rows:
        notes.append(
            Note(
                "way: classes on offer. top-1 and top-5 count each video once; per class: mean over classes. Interval: "
                "95 % of the mean top-1 over classes, which says nothing of other protocols. chance: 1 / way. In per "
                "cent."
            )
        )
    if several := [row for row in rows if row.reading.n_all > 1]:
        spaces = ", ".join(map(_spaces, several))
        notes.append(
            Note(
                f"Means over splits or test lists: {spaces}. sd: standard deviation over distinct ones (ddof=1). They "
                "share classes or videos, so it is neither a standard error nor an interval."
            )
        )
    if any(each.rows and each.trained and each.row.table.protocol == "gzsl" for each in found):
        text = "trained in gzsl: on fewer videos than in zsl, since some of each seen class are held out."
        notes.append(Note(text, text))
    if undecided := sum(row.undecided for row in rows):
        notes.append(
            Note(
                f"{undecided:,} videos hang on scores that rounding made equal, and the order of the classes decides; "
                "'run --keep-scores float64 --rerun all' keeps all digits.",
                f"{undecided:,} videos hang on rounded scores; 'run --keep-scores float64' keeps all digits.",
            )
        )
    return [*notes, *(Note(line, line) for line in mark_notes(code for each in found for code in each.row.codes))]


def _spaces(row: Rescored) -> str:
    n_all, distinct = row.reading.n_all, len(row.reading.spaces)
    read = f"{row.n_read} of {distinct}" if row.n_read < distinct else str(distinct)
    spread = row.figures.get("split_std")
    return (
        f"{row.reading.name} {read}{' distinct' if distinct < n_all else ''}"
        f"{'' if spread is None else f' (sd {share_text(spread)})'}"
    )


def _facts(found: Sequence[Rescoring]) -> list[dict[str, Any]]:
    """Return the rows for programs; the first keys are the most important."""
    return [
        without_nan({
            "method": each.row.name,
            "protocol": row.reading.name,
            "classes": row.n_classes,
            "videos": row.n_videos,
            **{LONG_NAMES.get(name, name): value for name, value in row.figures.items()},
            "label_spaces_read": row.n_read,
            "label_spaces_distinct": len(row.reading.spaces),
            "label_spaces_all": row.reading.n_all,
            "undecided_by_rounding": row.undecided,
            "dataset": each.row.table.dataset,
            "features": each.row.table.features,
            "semantics": each.row.table.semantics,
            "trained_in": f"{each.row.table.protocol} {each.row.table.family}" if each.trained else "",
            "simulated": each.row.simulated,
            "leaks": list(each.row.leaks),
            "overlap_unknown": each.row.overlap_unknown,
            "budget": " + ".join(each.row.budget),
            "version": each.row.version,
        })
        for each in found
        for row in each.rows
    ]  # fmt: skip
