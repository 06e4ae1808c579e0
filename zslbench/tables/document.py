"""What a verb shows, as tables with titles and notes: every format of ``--out`` is written from it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from zslbench.tables.writer import Column

_T = TypeVar("_T")


@dataclass(frozen=True)
class Section(Generic[_T]):
    """One table.

    Attributes
    ----------
    key
        What its label in LaTeX is made of; the title if empty.
    notes
        Sentences about this table alone; where all tables are on one page, those of the document are shown instead.
    group
        Row -> heading above it and its neighbours of the same group; only LaTeX shows it.
    peers
        Row -> what rows share whose figures may be compared; ``None`` for a row that is compared with no other.

    Examples
    --------
    >>> from zslbench.tables.writer import columns
    >>> Section(columns(["method"]), [["ridge"]], "hmdb51").title
    'hmdb51'
    """

    columns: Sequence[Column[_T]]
    rows: Sequence[_T]
    title: str = ""
    key: str = ""
    notes: Sequence[str] = ()
    group: Callable[[_T], str] | None = None
    peers: Callable[[_T], Hashable | None] | None = None


@dataclass(frozen=True)
class Document:
    """Tables and notes of one verb.

    Attributes
    ----------
    facts
        The rows for programs, name -> value; those of the tables if empty.
    record
        The content of JSON; ``facts`` if ``None``.
    own
        Format -> text, where a verb writes a format in its own way.
    warning
        What a page shows at its top.

    Examples
    --------
    >>> Document("methods", [], facts=[{"method": "ridge"}]).rows
    [{'method': 'ridge'}]
    """

    title: str
    sections: Sequence[Section[Any]]
    notes: Sequence[str] = ()
    facts: Sequence[Mapping[str, Any]] = ()
    record: Any = None
    own: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""

    @property
    def rows(self) -> list[Mapping[str, Any]]:
        """The rows for programs."""
        if self.facts:
            return list(self.facts)
        several = len(self.sections) > 1
        return [
            ({"table": section.title} if several else {}) | {c.title: c.cell(row) for c in section.columns}
            for section in self.sections
            for row in section.rows
        ]
