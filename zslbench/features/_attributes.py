"""Names of videos that are attributes of an HDF5 file: of a numbered group or dataset, or of an array of rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zslbench.features._arrays import Array, text_array

_NUMBERED = re.compile(r"([a-z]+[_-]?)?\d+", re.IGNORECASE)  # 00012, video_12
_NAMES = re.compile(r"name|file|path|video|clip|key|id", re.IGNORECASE)


def named_by_attributes(file: Any, found: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of an HDF5 file under the names that attributes give them, and attributes that are lists.

    Numbered items are called by the attribute that is another string for each, such as ``video_id``. A list of strings
    becomes an array ``ITEM@ATTRIBUTE``.
    """
    lists = {
        f"{name}@{key}".lstrip("@"): text_array(texts)
        for name in dict.fromkeys(("", *found, *(name.rpartition("/")[0] for name in found)))
        if not name or name in file  # a field of a compound dataset is not
        for key, texts in _texts(file[name or "/"])
        if len(texts) > 1
    }
    names = {name: _numbered_part(name) for name in found}
    if len(set(names.values())) < 2 or "" in names.values():
        return {**found, **lists}
    items = dict.fromkeys(names.values())
    given = {item: {key: texts[0] for key, texts in _texts(file[item]) if len(texts) == 1} for item in items}
    shared = [key for key in given[next(iter(items))] if all(key in each for each in given.values())]
    distinct = [key for key in shared if len({each[key] for each in given.values()}) == len(items)]
    key = next((key for key in distinct if _NAMES.search(key)), None)
    if key is None:
        return {**found, **lists}
    return {given[item][key] + name[len(item) :]: found[name] for name, item in names.items()} | lists


def _numbered_part(name: str) -> str:
    """Return a path up to its last part that is a number; empty if there is none."""
    parts = name.split("/")
    at = [i for i, part in enumerate(parts, 1) if _NUMBERED.fullmatch(part)]
    return "/".join(parts[: at[-1]]) if at else ""


def _texts(item: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield the attributes of an item that are strings."""
    for key in item.attrs:
        values = np.asarray(item.attrs[key]).ravel().tolist()
        if values and all(isinstance(value, str | bytes) for value in values):
            yield key, [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
