"""Tables for papers: LaTeX with booktabs, in a size that can be read, with the best figures marked.

A table that fits a column of a two-column page is a ``table``, a wider one a ``table*``. One that is wider than the
page has its texts wrapped, and one that is longer than a page is a ``longtable``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Any

from tabulate import tabulate

from zslbench.tables.document import Section
from zslbench.tables.writer import Column, Shown, cell_text, escape

_CHARACTER, _GAP = 4.5, 6.0  # points, in \footnotesize of a 10 pt document with \tabcolsep of 3 pt
_COLUMN, _PAGE = 219.0, 345.0  # points: the narrowest usual column, and the text of LaTeX's article
_WORD = re.compile(r"[^\s-]+-?")  # what TeX does not break
_LONGEST = 30  # rows of a table that floats
NEEDS = "% needs \\usepackage[T1]{fontenc} and \\usepackage{booktabs,array,longtable}"
# A longtable is refused where a page has two columns: it gets pages of one.
_ONE_COLUMN = (
    r"\let\zslbenchafter\relax",
    r"\expandafter\ifx\csname if@twocolumn\endcsname\iftrue\let\zslbenchafter\twocolumn\onecolumn\fi",
)
_AS_BEFORE = (r"\par\zslbenchafter",)
_BEST, _SECOND = r"\textbf{%s}", r"\underline{%s}"
MARKS_NOTE = (
    "Best figure of a group in bold, second-best underlined, as rounded; not where rows are not ranked together."
)


@dataclass(frozen=True)
class LatexOptions:
    """What the reader of a LaTeX table can choose.

    Attributes
    ----------
    label
        Of the first table; by default made of what it shows.
    caption
        By default the table's title.
    intervals
        Whether to show intervals.

    Examples
    --------
    >>> LatexOptions(label="tab:main").intervals
    True
    """

    label: str = ""
    caption: str = ""
    intervals: bool = True


def latex_text(sections: Sequence[Section[Any]], options: LatexOptions | None = None, *, needs: bool = True) -> str:
    r"""Return tables as LaTeX, each with its caption, label and notes.

    Parameters
    ----------
    needs
        Whether to begin with a comment that names the packages.

    Examples
    --------
    >>> from zslbench.tables.writer import columns
    >>> text = latex_text([Section(columns(["method"]), [["ridge"]], "hmdb51, zsl")])
    >>> print(text.splitlines()[4])
    \label{tab:hmdb51-zsl}
    """
    options = options or LatexOptions()
    labels = _labels(sections, options.label)
    several = len(sections) > 1
    parts = [NEEDS] if needs else []
    for section, label in zip(sections, labels, strict=True):
        caption = ": ".join(filter(None, (options.caption, section.title if several or not options.caption else "")))
        parts.append(_table(section, caption, label))
    return "\n\n".join(parts) if several else "\n".join(parts)


def _labels(sections: Sequence[Section[Any]], first: str) -> list[str]:
    """Return a label per table; two of one name get numbers."""
    found: list[str] = []
    for section in sections:
        base = first or f"tab:{re.sub(r'[^a-z0-9]+', '-', (section.key or section.title).lower()).strip('-')}"
        found.append(next(name for n in count(1) if (name := base if n == 1 else f"{base}-{n}") not in found))
    return found


def _table(section: Section[Any], caption: str, label: str) -> str:
    widths, wide = _widths(section)
    body = _body(section)
    heads = " & ".join(_head(column) for column in section.columns) + r" \\"
    spec = "@{}" + "".join(
        f">{{\\raggedright\\arraybackslash}}p{{{width:.3f}\\linewidth}}" if width else column.align[0]
        for column, width in zip(section.columns, widths, strict=True)
    ) + "@{}"  # fmt: skip
    # Addresses may break after their slashes.
    said = escape("latex", " ".join(section.notes)).replace("/", r"/\allowbreak{}")
    notes = [rf"{{\scriptsize\sloppy {said}\par}}"] if said else []
    named = [rf"\caption{{{escape('latex', caption)}}}", rf"\label{{{label}}}"]
    size = [r"\footnotesize", r"\setlength{\tabcolsep}{3pt}"]
    if len(section.rows) > _LONGEST:
        first = [*named, r"\\", r"\toprule", heads, r"\midrule", r"\endfirsthead"]
        lines = [rf"\begin{{longtable}}{{{spec}}}", *first, r"\toprule", heads, r"\midrule", r"\endhead",
                 r"\bottomrule", r"\endfoot", *body, r"\end{longtable}"]  # fmt: skip
        return "\n".join([r"\begingroup", *_ONE_COLUMN, *size, *lines, *notes, *_AS_BEFORE, r"\endgroup"])
    lines = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", heads, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    kind = "table*" if wide else "table"
    return "\n".join([
        rf"\begin{{{kind}}}[tbp]", r"\centering", *named, *size, *lines,
        *([r"\par\smallskip", r"\begin{minipage}{\linewidth}", *notes, r"\end{minipage}"] if notes else []),
        rf"\end{{{kind}}}",
    ])  # fmt: skip


def _head(column: Column[Any]) -> str:
    lines = [escape("latex", line) for line in column.header.split("\n")]
    stacked = r"\\".join(lines)
    return lines[0] if len(lines) == 1 else rf"\shortstack[{column.align[0]}]{{{stacked}}}"


def _cell(value: Any) -> str:
    text = escape("latex", " ".join(cell_text(value).split()))
    return _BEST % text if isinstance(value, Shown) and value.mark == "good" else text


def _body(section: Section[Any]) -> list[str]:
    """Return one line per row, with the best figures marked and headings above groups."""
    columns, rows = section.columns, list(section.rows)
    cells = [[_cell(column.cell(row)) for column in columns] for row in rows]
    if section.peers:
        for place, column in enumerate(columns):
            if column.figure:
                _mark(cells, place, [section.peers(row) for row in rows], [column.figure(row) for row in rows])
    # tabulate's own booktabs style would escape the marks.
    text = tabulate(cells, tablefmt="latex_raw", disable_numparse=True) if cells else ""
    # A bracket or a star after the \\ of the line before would be taken for its argument.
    lines = [re.sub(r"^(?=[\[*])", "{}", line.strip()) for line in text.splitlines()[2:-2]]
    group = section.group
    if group is None or len({group(row) for row in rows}) < 2:
        return lines
    found: list[str] = []
    for name, members in groupby(range(len(rows)), key=lambda i: group(rows[i])):
        rule = [r"\midrule"] if found else []
        heading = rf"\multicolumn{{{len(columns)}}}{{@{{}}l@{{}}}}{{\textit{{{escape('latex', name)}}}}} \\"
        found += [*rule, heading, *(lines[i] for i in members)]
    return found


def _mark(
    cells: list[list[str]], place: int, peers: Sequence[Hashable | None], figures: Sequence[float | None]
) -> None:
    """Mark the best and the second-best text of a column among peers; equal texts share a mark."""
    for peer in dict.fromkeys(each for each in peers if each is not None):
        of = [i for i, each in enumerate(peers) if each == peer and figures[i] is not None]
        if len(of) < 2:  # alone, a row is the best of nothing
            continue
        # What is rounded to one text looks equal, so it is marked as equal.
        texts = list(dict.fromkeys(cells[i][place] for i in sorted(of, key=lambda i: -(figures[i] or 0))))
        if len(texts) < 2:
            continue
        marks = {texts[0]: _BEST, texts[1]: _SECOND}
        for i in of:
            cells[i][place] = marks.get(cells[i][place], "%s") % cells[i][place]


def _widths(section: Section[Any]) -> tuple[list[float], bool]:
    """Return the width of each column that is wrapped, as a share of the page, else 0; and whether a column is left."""
    texts = [
        [*column.header.split("\n"), *(cell_text(column.cell(row)) for row in section.rows)]
        for column in section.columns
    ]
    points = [_CHARACTER * max(map(len, each)) for each in texts]
    gaps = _GAP * (len(points) - 1)
    if sum(points) + gaps <= _PAGE:
        return [0.0] * len(points), sum(points) + gaps > _COLUMN
    wrapped = [i for i, column in enumerate(section.columns) if column.align == "left"]
    # No column gets narrower than its longest word.
    least = [_CHARACTER * max(len(word) for text in texts[i] for word in [*_WORD.findall(text), ""]) for i in wrapped]
    free = _PAGE - gaps - sum(points[i] for i in range(len(points)) if i not in wrapped) - sum(least)
    more = _shared(max(free, 0), [points[i] - low for i, low in zip(wrapped, least, strict=True)])
    widths = [0.0] * len(points)
    for i, low, extra in zip(wrapped, least, more, strict=True):
        widths[i] = (low + extra) / _PAGE if low + extra < points[i] else 0.0
    return widths, True


def _shared(room: float, wanted: Sequence[float]) -> list[float]:
    """Return how much each gets of a room: all that it wants if that is at most an equal share of what is left."""
    shares = [0.0] * len(wanted)
    for done, i in enumerate(sorted(range(len(wanted)), key=lambda i: wanted[i])):
        shares[i] = min(wanted[i], room / (len(wanted) - done))
        room -= shares[i]
    return shares
