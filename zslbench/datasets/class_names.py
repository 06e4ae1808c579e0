"""Find the class that a name means: however files of this field spell it, and by the names that it has elsewhere."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

_NUMBER = re.compile(r"^\d+\s*[\s.:,)_-]\s*(?=\D)")  # "1 ApplyEyeMakeup", "001.ApplyEyeMakeup"
_QUALIFIER = re.compile(r"\s*[(\[][^)\]]*[)\]]")


class ClassNames:
    """The names of a dataset's classes, and what else they are called.

    Parameters
    ----------
    classes
        The dataset's own names.
    others
        Names elsewhere, each with the classes that it can mean.

    Examples
    --------
    >>> names = ClassNames(["EyeMakeup", "pass (in game)", "pass (not in game)"], [("make-up", ["EyeMakeup"])])
    >>> names.readings("1 eye_makeup"), names.readings("Make Up")
    (('EyeMakeup',), ('EyeMakeup',))
    >>> names.readings("pass"), names.readings("pass_in_game")
    (('pass (in game)', 'pass (not in game)'), ('pass (in game)',))
    """

    def __init__(self, classes: Sequence[str], others: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._own = _by_key((name, [name]) for name in classes)
        self._others = _by_key(others)
        self._words = {name: name_words(name) for name in classes}
        self._unqualified = {
            tuple(name_words(bare)) for name in classes if (bare := _QUALIFIER.sub("", name)) not in ("", name)
        }

    def readings(self, name: str) -> tuple[str, ...]:
        """Return the classes that a name can mean: none, the one, or several if it is ambiguous.

        Case, punctuation, quotation marks, escapes of HTML and of addresses, and a number before the name do not
        matter. A qualifier such as ``(sport)`` may be left out where one class can be meant.
        """
        spellings = _spellings(name)
        for spelt in spellings:
            key = name_key(spelt)
            if found := self._own.get(key) or self._others.get(key):
                return found
        if self._unqualified:
            for spelt in spellings:
                if (words := name_words(spelt)) and tuple(words) in self._unqualified:
                    return tuple(each for each, own in self._words.items() if own[: len(words)] == words)
        return ()


def _by_key(names: Iterable[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for name, classes in names:
        key = name_key(name)
        table[key] = tuple(dict.fromkeys([*table.get(key, ()), *classes]))
    table.pop("", None)
    return table


def _spellings(name: str) -> list[str]:
    """Return a name as it is, without escapes, and without the number before it; each once."""
    plain = html.unescape(unquote(name)) if "%" in name or "&" in name else name
    plain = plain.strip(" \"'")
    return list(dict.fromkeys([name, plain, _NUMBER.sub("", plain, count=1) if plain[:1].isdigit() else plain]))


def name_words(name: str) -> list[str]:
    """Return the lower-case words of a name.

    >>> name_words("ApplyEyeMakeup"), name_words("passing_American football")
    (['apply', 'eye', 'makeup'], ['passing', 'american', 'football'])
    """
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())


def name_key(name: str) -> str:
    """Return what spellings of one name share: its letters and digits, without case."""
    return "".join(c for c in name.casefold() if c.isalnum())
