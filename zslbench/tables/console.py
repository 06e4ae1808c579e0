"""Lay out a table for a terminal: fold its text, leave out columns that do not fit, and name them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import tabulate

from zslbench.tables.text import shortened
from zslbench.tables.widths import GAP, Need, console_width, filled, fitted

_WIDEST = 120  # characters of a word
_LONG_WORD = 24  # characters of a word that is not broken before columns are left out
_SHORT = 16  # characters of a cell that stays in one line, such as "31.0 MB"


@dataclass(frozen=True)
class Printed:
    """A column with the text of its cells; the other attributes are those of :class:`~zslbench.tables.writer.Column`.

    Examples
    --------
    >>> print(console_text([Printed("method", ["ridge"]), Printed("top-1 %", ["20.1"], align="right")]))
    method  top-1 %
    ------  -------
    ridge      20.1
    """

    header: str
    cells: Sequence[str]
    title: str = ""
    align: Literal["left", "right"] = "left"
    width: int | None = None
    least: int | None = None
    drop: int = 0

    @property
    def need(self) -> Need:
        """How much place the column needs."""
        lines = [line for text in self.cells for line in text.splitlines()]
        longest = _longest(lines)
        most = min(longest, self.width or longest)
        words = max(min(_longest(word for line in lines for word in line.split()), _LONG_WORD), _SHORT)
        least = most if self.align == "right" else min(self.least or words, most)  # a figure stays in one piece
        return Need(max(most, _longest(self.header.splitlines())), max(least, _longest(self.header.split())), self.drop)


def console_text(columns: Sequence[Printed]) -> str:
    """Return a table that fits the terminal; a line below it names the columns that are left out."""
    columns = [
        replace(c, header=shortened(c.header, _WIDEST), cells=[_shortened(text, c.width) for text in c.cells])
        for c in columns
    ]
    width = console_width()
    needs = [column.need for column in columns]
    widths = {i: need.whole for i, need in enumerate(needs)} if width is None else fitted(needs, width)
    kept = [columns[i] for i in widths]
    cells = [[_folded(text, size) for text in column.cells] for column, size in zip(kept, widths.values(), strict=True)]
    with _no_padding():
        text = str(tabulate.tabulate(
            list(zip(*cells, strict=True)),
            [_folded(column.header, size) for column, size in zip(kept, widths.values(), strict=True)],
            tablefmt="simple", disable_numparse=True,
            # Before 0.10, tabulate takes no alignment for a table without rows.
            colalign=[column.align for column in kept] if any(cells) else None,
        ))  # fmt: skip
    if len(kept) == len(columns):
        return text
    left_out = ", ".join(column.title or column.header for i, column in enumerate(columns) if i not in widths)
    enough = sum(need.folded for need in needs) + GAP * (len(needs) - 1)
    return f"{text}\n{filled(f'Not shown: {left_out} (all in {enough} columns, or with | less -S).')}"


def _shortened(text: str, width: int | None) -> str:
    return text if width else shortened(text, _WIDEST)


def _longest(lines: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, lines), default=0)


def _folded(text: str, width: int) -> str:
    """Return a text in lines of at most so many characters; a word that is too long is broken."""
    if _longest(text.splitlines()) <= width:
        return text
    from rich.console import Console
    from rich.text import Text

    return "\n".join(line.plain.rstrip() for line in Text(text).wrap(Console(width=width), width))


@contextlib.contextmanager
def _no_padding() -> Iterator[None]:
    """Let tabulate make a column as wide as its header; it would make it two characters wider."""
    before, tabulate.MIN_PADDING = tabulate.MIN_PADDING, 0
    try:
        yield
    finally:
        tabulate.MIN_PADDING = before
