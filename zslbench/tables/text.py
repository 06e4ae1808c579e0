"""Show text from data as it is: no character of a name may move the cursor, reorder a line or act as a formula.

Class names, video ids, notes and messages come from files, plugins and other people's results.
"""

from __future__ import annotations

import re
import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_JOINERS = "\u200c\u200d"  # they belong to words of Indic scripts and Persian, and to emoji of several parts
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format and surrogate characters, line and paragraph separators
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]")  # full-width signs count, too
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*%?|[+-]?(inf|nan)|[+-]+")


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return a text with escapes in place of characters that a reader cannot see.

    The escapes are those of JSON, so that JSON text stays the same JSON. Control and format characters are escaped,
    also those that change the direction of text, and lone surrogates, which no file in UTF-8 can hold.

    Parameters
    ----------
    lines
        Whether to keep line breaks and tabs.

    Examples
    --------
    >>> print(visible("clap\x1b[31m\n"))
    clap\u001b[31m\n
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (lines and c in "\n\t") else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _HIDDEN:
        return character
    if character in _SHORT:
        return _SHORT[character]
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def hidden(text: str) -> bool:
    r"""Return whether a text has characters that a reader cannot see, so that it can name nothing.

    Examples
    --------
    >>> hidden("v_Archery_g01"), hidden("v_Archery\n")
    (False, True)
    """
    return visible(text) != text


def shortened(text: str, most: int) -> str:
    """Return a text whose words have at most ``most`` characters: the middle of a longer one is left out.

    A sentence keeps all its words.

    Examples
    --------
    >>> shortened("no video v_ApplyEyeMakeup_g08_c01", 15)
    'no video v_Appl...08_c01'
    """
    half = (most - 3) // 2
    return re.sub(rf"\S{{{most + 1},}}", lambda word: f"{word[0][:half]}...{word[0][-half:]}", text)


def no_formula(text: str) -> str:
    """Return a text that a spreadsheet takes for text: one that begins like a formula gets an apostrophe.

    Examples
    --------
    >>> no_formula("=1+2"), no_formula("-0.5"), no_formula("ridge")
    ("'=1+2", '-0.5', 'ridge')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
