"""Content words and stems of class names."""

from __future__ import annotations

import re
from functools import cache

Tokens = frozenset[str]


STOP_WORDS = frozenset(
    ["a", "an", "and", "at", "for", "in", "into", "of", "on", "or", "person", "someone", "something", "the",
     "through", "to", "with"]
)  # fmt: skip


# Verbs that say little: "playing guitar" and "guitar performance" are near, "playing guitar" and "playing chess" not.
_LIGHT = frozenset(["do", "doing", "get", "getting", "perform", "performing", "play", "playing", "use", "using"])


@cache
def content_words(text: str, *, stems: bool = True) -> frozenset[Tokens]:
    """Return the readings of a name; each is a set of words, or of their stems.

    ``catching or throwing frisbee`` has three readings: the whole name and one for each verb. A name with a part in
    parentheses is read with and without it. ``sky diving`` can also be read as one word.
    """
    form = stem if stems else str
    found = set()
    for reading in _readings(text):
        words = [word for word in re.findall(r"\w+", reading.casefold().replace("'s", "")) if word not in STOP_WORDS]
        chosen = [word for word in words if word not in _LIGHT] or words
        if chosen:
            found.add(frozenset(map(form, chosen)))
            if len(chosen) > 1:
                found.add(frozenset({form("".join(chosen))}))
    return frozenset(found)


def _readings(text: str) -> list[str]:
    readings = [re.sub(r"([a-z])([A-Z])", r"\1 \2", text).replace("_", " ")]
    readings += [re.sub(r"\(.*?\)", " ", each) for each in readings if "(" in each]
    for each in list(readings):
        if match := re.search(r"(\w+) or (\w+)", each):
            readings += [each[: match.start()] + match[i] + each[match.end() :] for i in (1, 2)]
    return readings


def stem(word: str) -> str:
    """Return a word without its ending, the same for ``dive``, ``dives``, ``diving`` and ``dived``.

    The result need not be an English word.
    """
    if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us")):  # not "moss", not "cactus"
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        # A stem has a vowel: "string" is no form of "str". "need" and "feed" are no forms of the past.
        if rest != word and len(rest) > 2 and re.search("[aeiouy]", rest) and not word.endswith("eed"):
            undoubled = rest[-1] == rest[-2] and rest[-1] not in "lsz"  # "running", but not "falling" or "passing"
            return (rest[:-1] if undoubled else rest).removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word
