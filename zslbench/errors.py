"""Errors that a user can mend.

The command line prints the sentence and exits with code 2; anything else that is raised is a bug and keeps its
traceback (exit code 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZslbenchError(Exception):
    """Bad input or a missing resource: one sentence that contains the remedy."""


class NotFoundError(ZslbenchError):
    """A name that is not registered, imported or present."""


class CoverageError(ZslbenchError):
    """A feature set or class-vector source lacks classes that a split needs."""


class OutOfVocabularyError(ZslbenchError):
    """Class names contain words that a word-vector source does not know."""


_MOST_LISTED = 60


def suggest(name: str, known: Iterable[str], *, most: int = _MOST_LISTED) -> str:
    """Return ``' Did you mean x?'`` or what is known, ready to end a sentence.

    Parameters
    ----------
    name
        What the user typed.
    known
        Every name that would have been accepted.
    most
        Names that are listed where none is close.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    if len(names) > most:
        return f" Some that are: {', '.join(names[:most])}."
    return f" Known: {', '.join(names)}." if names else " None is registered."
