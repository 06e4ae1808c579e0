"""Readable keys of published figures: ``froster-b-16@ucf101:clip-official3``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.ledger.published import Published, published_results

_SHOWN = 8  # keys in a message


def key_of(row: Published) -> str:
    """Return the key of a published figure, as ``zslbench why`` takes it.

    Raises
    ------
    StopIteration
        It is not one of :func:`zslbench.ledger.published.published_results`.

    Examples
    --------
    >>> key_of(find_published("froster b/16@ucf101:official3"))
    'froster-b-16@ucf101:clip-official3'
    """
    return next(key for key, other in published_keys().items() if other == row)


def find_published(text: str) -> Published:
    """Return the figure that a key, or a part of it, names: ``SYSTEM@DATASET:PROTOCOL``.

    Raises
    ------
    NotFoundError
        No key has these parts; the message suggests the nearest.
    ZslbenchError
        Several have; the message lists them.
    """
    keys = published_keys()
    if text in keys:
        return keys[text]
    system, *places = re.split(r"[@:]", text)
    system, places = _name(system), [_words(place) for place in places]
    found = {key: row for key, row in keys.items() if _has(key, system, places)}
    exact = {key: row for key, row in found.items() if key.partition("@")[0] == system}
    found = exact or found
    if not found:
        known = keys if "@" in text else {key.partition("@")[0] for key in keys}
        raise NotFoundError(f"no published figure has the key {text!r}.{suggest(text.casefold(), known, most=12)}")
    if len(found) > 1:
        raise ZslbenchError(f"{text!r} names {len(found)} published figures: {some(list(found), _SHOWN)}; name one.")
    return next(iter(found.values()))


def _has(key: str, system: str, places: Sequence[str]) -> bool:
    head, tail = key.split("@")
    dataset, *more = tail.split(":")
    return system in head and (
        not places or (places[0] == dataset and all(any(each in part for part in more) for each in places[1:]))
    )


def published_keys() -> dict[str, Published]:
    """Return key -> published figure.

    A key has the metric, the source or a number only if two figures would have the same one without it.

    Examples
    --------
    >>> [key for key in published_keys() if key.startswith("kdica")]
    ['kdica@ucf101:80/20:1', 'kdica@ucf101:80/20:2']
    """
    rows = published_results()
    keys = [f"{_name(row.system)}@{row.dataset}:{_words(row.protocol)}" for row in rows]
    for more in ([row.metric for row in rows], [row.paper or "" for row in rows]):
        values = defaultdict(set)
        for key, value in zip(keys, more, strict=True):
            values[key].add(value)
        keys = [f"{k}:{_words(v)}" if len(values[k]) > 1 else k for k, v in zip(keys, more, strict=True)]
    counts, seen = Counter(keys), Counter[str]()
    found = {}
    for key, row in zip(keys, rows, strict=True):
        seen[key] += 1
        found[f"{key}:{seen[key]}" if counts[key] > 1 else key] = row
    return found


def _name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9/]+", "-", text.casefold()).strip("-")
