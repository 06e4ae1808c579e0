"""Write a document in one of the formats of ``--format`` and ``--out``; pages of HTML are the report's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from zslbench.tables.document import Document, Section
from zslbench.tables.latex import LatexOptions, latex_text
from zslbench.tables.writer import csv_text, escape, listed, table_text, without_nan

FORMAT_BY_SUFFIX = {".csv": "csv", ".html": "html", ".json": "json", ".md": "markdown", ".tex": "latex"}
FORMATS = ("console", *FORMAT_BY_SUFFIX.values())


def format_of(path: Path) -> str | None:
    """Return the format that a file's suffix means, or ``None``.

    Examples
    --------
    >>> format_of(Path("table.TEX")), format_of(Path("table.xlsx"))
    ('latex', None)
    """
    return FORMAT_BY_SUFFIX.get(path.suffix.lower())


def document_text(document: Document, fmt: str, latex: LatexOptions | None = None) -> str:
    """Return a document as ``markdown``, ``latex``, ``csv`` or ``json``, without a newline at its end."""
    if fmt in document.own:
        return document.own[fmt]
    if fmt == "csv":
        # Without rows, the header says what would be there.
        heads = [dict.fromkeys((column.title for column in s.columns), "") for s in document.sections[:1]]
        return csv_text(map(without_nan, document.rows)) if document.rows else csv_text(heads).partition("\n")[0]
    if fmt == "json":
        record = document.rows if document.record is None else document.record
        return json.dumps(record, indent=1, ensure_ascii=False, default=_plain)
    notes = listed("markdown", document.notes)
    if fmt == "markdown":
        return "\n\n".join([*map(_markdown, document.sections), *(["\n".join(notes)] if notes else [])])
    if not document.sections:
        return "\n".join(f"% {escape('latex', note)}" for note in document.notes)
    *first, last = document.sections
    return latex_text([*first, replace(last, notes=[*last.notes, *document.notes])], latex)


def _markdown(section: Section[Any]) -> str:
    table = table_text("markdown", section.columns, section.rows)
    return f"### {escape('markdown', section.title)}\n\n{table}" if section.title else table


def _plain(value: Any) -> Any:
    """Return what JSON knows in place of a set or a number of numpy."""
    return (
        sorted(value) if isinstance(value, set | frozenset) else value.item() if hasattr(value, "item") else str(value)
    )
