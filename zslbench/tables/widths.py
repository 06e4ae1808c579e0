"""Fit tables and prose into the terminal: the one place that knows how wide it is.

A table that is too wide for the terminal is folded: its text, not its figures. If that is not enough, columns are left
out, the least important ones first. Where nothing says how wide the output is, as in a pipe, tables are whole.
"""

from __future__ import annotations

import os
import shlex
import sys
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

GAP = 2  # characters between two columns
_NARROWEST = 40  # a narrower terminal folds the lines itself
_PARAGRAPH = 80  # characters per line of a paragraph where nothing says how wide the output is


def console_width() -> int | None:
    """Return the characters per line of stdout: those of ``COLUMNS``, else of the terminal; ``None`` without both.

    Examples
    --------
    >>> os.environ["COLUMNS"] = "100"
    >>> console_width()
    100
    >>> del os.environ["COLUMNS"]
    """
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return max(_NARROWEST, int(said))
    try:
        if sys.stdout.isatty():
            return max(_NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError, AttributeError):  # no descriptor, or closed, or no stdout at all
        pass
    return None


def filled(text: str, first: str = "", others: str = "") -> str:
    """Return a paragraph in lines that fit, of 80 characters where nothing says how wide the output is.

    Words such as paths stay in one piece.

    Parameters
    ----------
    first, others
        What the first line and the other lines begin with.

    Examples
    --------
    >>> print(filled("note: " + 20 * "word ", others="  "))
    note: word word word word word word word word word word word word word word word
      word word word word word
    """
    return textwrap.fill(
        text, console_width() or _PARAGRAPH, initial_indent=first, subsequent_indent=others, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def wrapped(text: str, hanging: str = "  ") -> str:
    """Return a text whose lines fit: longer ones go on in lines that are indented more.

    Where nothing says how wide the output is, lines stay whole, so that ``grep`` finds them.

    Examples
    --------
    >>> wrapped("  note: a long line") if console_width() is None else ""
    '  note: a long line'
    """
    width = console_width()
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        indent = line[: len(line) - len(line.lstrip(" "))]
        lines.append(line if len(line) <= width else filled(line.strip(), indent, indent + hanging))
    return "\n".join(lines)


def shell_lines(command: str, indent: str = "") -> str:
    r"""Return a command in lines that fit and that a shell joins; an option and its value stay together.

    Examples
    --------
    >>> print(shell_lines("zslbench run --method ridge --dataset hmdb51 --features simulated --set 'ridge.alpha=1, 2'"))
    zslbench run --method ridge --dataset hmdb51 --features simulated \
        --set 'ridge.alpha=1, 2'
    """
    room = (console_width() or _PARAGRAPH) - len(indent) - len(" \\")
    lines, together = [""], ""
    words = shlex.split(command)
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        together += f" {shlex.quote(word)}"
        if word.startswith("-") and not after.startswith("-"):
            continue
        if lines[-1] and len(lines[-1] + together) > room:
            lines.append("   ")
        lines[-1] += together if lines[-1] else together.lstrip()
        together = ""
    return " \\\n".join(f"{indent}{line}" for line in lines)


class Need(NamedTuple):
    """How much place a column needs.

    Attributes
    ----------
    whole
        Characters of its longest line.
    folded
        The fewest characters that it may be folded to.
    drop
        Columns are left out in the order of this number; one with 0 never is.

    Examples
    --------
    >>> Need(whole=60, folded=20, drop=1).folded
    20
    """

    whole: int
    folded: int
    drop: int


def fitted(needs: Sequence[Need], width: int) -> dict[int, int]:
    """Return the columns that fit into a width, number -> characters.

    Columns are folded first, the widest ones most. If that is not enough, columns are left out. Only if nothing may be
    left out any more, columns become narrower than they need.

    Examples
    --------
    >>> fitted([Need(10, 10, 0), Need(60, 20, 1), Need(8, 8, 2)], 50)
    {0: 10, 1: 28, 2: 8}
    >>> fitted([Need(10, 10, 0), Need(60, 20, 1), Need(8, 8, 2)], 35)
    {0: 10, 1: 23}
    """
    kept = list(range(len(needs)))
    for i in sorted((i for i in kept if needs[i].drop), key=lambda i: needs[i].drop, reverse=True):
        if sum(needs[k].folded for k in kept) <= _room(kept, width):
            break
        kept.remove(i)
    room = max(_room(kept, width), len(kept))
    least = {i: needs[i].folded for i in kept}
    if sum(least.values()) > room:
        least = dict.fromkeys(kept, 1)
    bound = max((needs[i].whole for i in kept), default=0)
    while sum((widths := {i: max(least[i], min(needs[i].whole, bound)) for i in kept}).values()) > room:
        bound -= 1
    for i in sorted(kept, key=lambda i: needs[i].whole - widths[i]):  # what the last step left over
        more = min(room - sum(widths.values()), needs[i].whole - widths[i])
        widths[i] += max(more, 0)
    return widths


def _room(kept: Sequence[int], width: int) -> int:
    return width - GAP * (len(kept) - 1)
