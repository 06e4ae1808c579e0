"""Notes under a table: a short line each on a console, whole sentences elsewhere and on request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from zslbench.tables.text import visible
from zslbench.tables.widths import wrapped
from zslbench.tables.writer import listed


class Note(NamedTuple):
    """What a reader of a table should know.

    Attributes
    ----------
    text
        The whole sentences.
    short
        What a console prints of them; nothing for an explanation that only ``--explain`` prints.

    Examples
    --------
    >>> note_lines("console", [Note("sd: standard deviation (ddof=1)."), Note("~: a draw with rank 1.", "~: a draw.")])
    ['~: a draw.']
    """

    text: str
    short: str = ""


def note_lines(fmt: str, notes: Iterable[Note], *, explain: bool = False) -> list[str]:
    """Return notes as the lines of a ``console`` or ``markdown`` text; only a console shortens them.

    Parameters
    ----------
    explain
        Whether a console prints all notes as whole sentences.

    Examples
    --------
    >>> note_lines("console", [Note("sd: standard deviation (ddof=1).")], explain=True)
    ['sd: standard deviation (ddof=1).']
    """
    if fmt != "console":
        return listed(fmt, (note.text for note in notes))
    said = [note.text if explain else note.short for note in notes]
    return [wrapped(visible(text)) for text in said if text]
