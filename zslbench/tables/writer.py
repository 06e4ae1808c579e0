"""Tables as text: console, Markdown, LaTeX and HTML for people, CSV for programs.

Callers hand over columns and rows; line breaks, alignment and each format's special characters are dealt with here.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from tabulate import LATEX_ESCAPE_RULES, tabulate

from zslbench.tables.console import Printed, console_text
from zslbench.tables.text import no_formula, visible

_T = TypeVar("_T")

_STYLES = {"markdown": "github", "latex": "latex_booktabs", "html": "html"}
_MARKDOWN = re.compile(r"[\\|*_<>`\[\]]|&(?=#?\w+;)|\$(?=.*\$)|~(?=~)")  # GitHub reads mathematics between two dollars
# In OT1, LaTeX's usual encoding, a bar is a dash; two hyphens become one dash in most fonts.
_LATEX = str.maketrans({**LATEX_ESCAPE_RULES, "|": r"\textbar{}"})
_ESCAPES: dict[str, Callable[[str], str]] = {
    "console": visible,
    "markdown": lambda text: _MARKDOWN.sub(r"\\\g<0>", visible(text)),
    "latex": lambda text: re.sub("-(?=-)", "-{}", visible(text).translate(_LATEX)),
    "html": lambda text: html.escape(visible(text)),
}


def share_text(share: float | None) -> str:
    """Return a share in per cent to one decimal place, or ``-`` if there is none."""
    return number_text(None if share is None else 100 * share)


def number_text(value: float | None, digits: int = 1) -> str:
    """Return a number to so many decimal places, or ``-`` if there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def interval_text(low: float, high: float, digits: int = 1) -> str:
    """Return an interval to so many decimal places, or ``-`` if there is none."""
    return "-" if math.isnan(low) else f"[{low:.{digits}f}, {high:.{digits}f}]"


class Shown(NamedTuple):
    """A table cell whose text differs from the value that it is sorted by.

    Attributes
    ----------
    text
        The text that is shown.
    value
        The value that the column is sorted by; ``None`` and NaN are last in both directions.
    mark
        The style: ``good``, ``bad``, ``quiet`` or nothing. It is never the only sign of a meaning.
    link
        On a page: the relative path of a page of its own.

    Examples
    --------
    >>> Shown("20.1 [15.3, 25.0]", 20.1).value
    20.1
    """

    text: str
    value: float | None = None
    mark: Literal["", "good", "bad", "quiet"] = ""
    link: str = ""


@dataclass(frozen=True)
class Column(Generic[_T]):
    """One column of a table.

    Attributes
    ----------
    header
        It may contain line breaks, which only a console keeps; a hyphen before one joins the parts of a word.
    cell
        Row -> content of its cell: text, a number, ``None`` for nothing, or :class:`Shown`.
    width
        The most characters per line of a cell on a console; longer text is wrapped.
    least
        The fewest characters that a narrow console may fold the column to. Without it, words stay in one piece.
    drop
        When a narrow console leaves the column out: the highest number first, 0 never.
    figure
        Row -> the figure by which LaTeX marks the best cells of the column; ``None`` if no cell is marked.

    Examples
    --------
    >>> shares = Column[float]("top-1 %", lambda share: f"{100 * share:.1f}", align="right")
    >>> table_text("markdown", [shares], [0.201]).splitlines()[-1]
    '|      20.1 |'
    """

    header: str
    cell: Callable[[_T], Any]
    align: Literal["left", "right"] = "left"
    width: int | None = None
    least: int | None = None
    drop: int = 0
    figure: Callable[[_T], float | None] | None = None

    @property
    def title(self) -> str:
        """The header in one line."""
        return self.header.replace("-\n", "").replace("/\n", "/").replace("\n", " ")


def columns(
    headers: Iterable[str], *, right: Collection[str] = (), drop: Sequence[str] = (), widths: Mapping[str, int] = {},
    least: Mapping[str, int] = {},
) -> list[Column[Sequence[Any]]]:  # fmt: skip
    """Return the columns of rows that are sequences of cells; a row may end early.

    Parameters
    ----------
    right
        The headers of columns that are aligned to the right.
    drop
        The headers of columns that a narrow console leaves out, in this order.
    widths
        Header -> the most characters per line of its cells.
    least
        Header -> the fewest characters that a narrow console may fold it to.

    Examples
    --------
    >>> print(table_text("console", columns(["method", "top-1 %"], right=["top-1 %"]), [["ridge", 20.1], ["sae", 9.5]]))
    method  top-1 %
    ------  -------
    ridge      20.1
    sae         9.5
    """

    def cell(i: int) -> Callable[[Sequence[Any]], Any]:
        return lambda row: row[i] if i < len(row) else None

    order = {name: len(drop) - i for i, name in enumerate(drop)}
    return [
        Column(
            name, cell(i), "right" if name in right else "left", widths.get(name), least.get(name), order.get(name, 0)
        )
        for i, name in enumerate(headers)
    ]


def table_text(fmt: str, columns: Sequence[Column[_T]], rows: Iterable[_T]) -> str:
    """Return a table as ``console``, ``markdown``, ``latex`` (needs the package booktabs) or ``html`` text.

    On a console, the table fits the terminal: text is folded, then columns are left out, which a line below it names.
    """
    console = fmt == "console"
    # tabulate escapes LaTeX and HTML itself.
    escaped = _ESCAPES[fmt] if fmt == "markdown" else visible
    headers = [visible(column.header, lines=True) if console else escaped(column.title) for column in columns]
    cells = [[cell_text(column.cell(row)) for column in columns] for row in rows]
    cells = [[escaped(text if console else " ".join(text.splitlines())) for text in line] for line in cells]
    if console:
        printed = (Printed(headers[i], [line[i] for line in cells], c.title, c.align, c.width, c.least, c.drop)
                   for i, c in enumerate(columns))  # fmt: skip
        return console_text(list(printed))
    text = tabulate(
        cells, headers, tablefmt=_STYLES[fmt], disable_numparse=True,
        # Before 0.10, tabulate takes no alignment for a table without rows.
        colalign=[column.align for column in columns] if cells else None,
    )  # fmt: skip
    # A bracket or a star after the \\ of the line before would be taken for its argument.
    return re.sub(r"(?m)^ *(?=[\[*])", "{}", text) if fmt == "latex" else str(text)


def escape(fmt: str, text: str) -> str:
    """Return a text such that it means itself in a format of :func:`table_text`."""
    return _ESCAPES[fmt](text)


def listed(fmt: str, notes: Iterable[str]) -> list[str]:
    """Return sentences as the lines of a ``console`` or ``markdown`` text: there, with bullets."""
    return [f"* {escape(fmt, note)}" if fmt == "markdown" else note for note in notes]


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows, name -> value, as CSV without a newline at its end; lists and mappings become JSON.

    A text that a spreadsheet would take for a formula gets an apostrophe.
    """
    rows = list(rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: _csv_value(v) for k, v in row.items()})
    return stream.getvalue().removesuffix("\n")


def _csv_value(value: Any) -> Any:
    value = json.dumps(value) if isinstance(value, dict | list) else value
    return no_formula(visible(value, lines=True)) if isinstance(value, str) else value


def without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row, name -> value, with ``None`` in place of NaN, which JSON does not know."""
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


def cell_text(cell: Any) -> str:
    """Return the text of a cell."""
    return cell.text if isinstance(cell, Shown) else "" if cell is None else str(cell)
