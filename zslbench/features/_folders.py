"""Folders of feature files: one per video, or files whose rows follow each other, as one per class or per split."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from zslbench.errors import ZslbenchError
from zslbench.features._arrays import Array, list_array, stacked, text_array, turn
from zslbench.features._beside import belongs
from zslbench.features._reopening import reopened
from zslbench.features._shards import SHARDS, read_shards
from zslbench.features.formats import OPENERS, TABLES
from zslbench.files import reading

_SIDE = re.compile(r"(?<![a-z])(train|training|val|valid|validation|test|testing)(?![a-z])", re.IGNORECASE)


def folder(path: Path, stack: contextlib.ExitStack) -> dict[str, Array]:
    """Return the arrays of all feature files below a folder.

    Of one file per video they are named by their paths, without the suffix; ``PATH/NAME`` if a file has several. Where
    each file names the videos of its rows, they are the arrays of one file, with an array of names. Tar shards are read
    as such.
    """
    files = [file for file in sorted(path.rglob("*")) if _is_visible(file.relative_to(path)) and file.is_file()]
    if shards := [file for file in files if file.suffix.lower() in SHARDS]:
        return read_shards(shards, stack)
    _refuse_rows(path, files)
    found: dict[str, dict[str, Array]] = {}
    for file in _of_one_format(path, files):
        opener = OPENERS[file.suffix.lower()]
        with reading(file):
            arrays = opener(file, stack) if file.suffix == ".npy" else reopened(partial(opener, file))
        found[file.relative_to(path).with_suffix("").as_posix()] = arrays
    if joined := _joined(path, found):
        return joined
    each = {name: {k: a for k, a in arrays.items() if not a.is_text} for name, arrays in found.items()}
    return {
        name if len(arrays) == 1 else f"{name}/{key}": array
        for name, arrays in each.items()
        for key, array in arrays.items()
    }


def _refuse_rows(path: Path, files: Sequence[Path]) -> None:
    """Raise for a folder with one file of features, and lists of its rows: it is no folder of videos."""
    arrays = [file for file in files if file.suffix == ".npy"]
    features = [file for file in arrays if not any(belongs(other, file) for other in arrays if other != file)]
    if len(arrays) > 1 == len(features):
        raise ZslbenchError(
            f"{path.name} has one file of features, {features[0].name}, and lists of its rows; give that file itself."
        )


def _of_one_format(path: Path, files: Sequence[Path]) -> list[Path]:
    """Return the files of the commonest format: a few others are lists of classes and the like."""
    suffixes = [suffix for file in files if (suffix := file.suffix.lower()) in OPENERS and suffix != ".zip"]
    counts = Counter([suffix for suffix in suffixes if suffix not in TABLES] or suffixes)  # texts are often lists
    (first, n), *others = counts.most_common(2) or [("", 0)]
    if others and others[0][1] == n:
        raise ZslbenchError(f"{path.name} has {n:,} {first} and {n:,} {others[0][0]} files; keep one format in it.")
    return [file for file in files if file.suffix.lower() == first]


def _is_visible(path: Path) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def _joined(path: Path, files: Mapping[str, dict[str, Array]]) -> dict[str, Array] | None:
    """Return the arrays of files that each name the videos of their rows; ``None`` if a file is one video."""
    if not files or any(arrays.keys() != next(iter(files.values())).keys() for arrays in files.values()):
        return None
    counted = {file: _count(arrays) for file, arrays in files.items()}
    if not all(counted.values()) or sum(counted.values()) == len(files):
        return None
    found: dict[str, Array] = {}
    for key in next(iter(files.values())):
        parts = _by_row(path, key, {file: (arrays[key], counted[file]) for file, arrays in files.items()})
        known = [part for part in parts.values() if part is not None]
        if len(known) < len(parts):  # of no use for rows
            found[key] = next(iter(files.values()))[key]
        elif known[0].is_text:
            found[key] = text_array(_paths({file: part.texts() for file, part in parts.items() if part is not None}))
        elif any(part.items for part in known):
            found[key] = list_array([item for part in known for item in part.items])
        else:
            _check_shapes(path, key, parts)
            found[key] = stacked(known)
    return found


def joined_sides(path: Path, arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return the rows of ``train_features`` and ``test_features`` as one array, if each side names its rows."""
    sides: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        parts = _SIDE.split(name)
        if len(parts) == 3:
            sides.setdefault(parts[1].lower(), {})[(parts[0] + parts[2]).strip("/_.-")] = array
    if len(sides) < 2:
        return arrays
    others = {name: array for name, array in arrays.items() if not _SIDE.search(name)}
    joined = _joined(path, sides)
    return arrays if joined is None else {**others, **joined}


def _count(arrays: Mapping[str, Array]) -> int:
    """Return the number of strings that name the rows of an array of features; 0 if there are none."""
    sizes = {array.shape[0] for array in arrays.values() if array.is_text and len(array.shape) == 1}
    return max((n for n in sizes for array in arrays.values() if _has_rows(array, n)), default=0)


def _has_rows(array: Array, n: int) -> bool:
    if array.is_text or (len(array.shape) < 2 and not array.items):
        return False
    return array.shape[0] == n or (array.either_end and array.shape[-1] == n)


def _by_row(path: Path, key: str, files: Mapping[str, tuple[Array, int]]) -> dict[str, Array | None]:
    """Return the array of each file with one row per video; ``None`` if it has no such axis.

    Raises
    ------
    ZslbenchError
        The videos may be the first axis or the last one, in all files.
    """
    first = all(array.shape[:1] == (n,) for array, n in files.values())
    last = all(array.either_end and len(array.shape) > 1 and array.shape[-1] == n for array, n in files.values())
    if first and last:
        raise ZslbenchError(
            f"in {path.name}, the first and the last axis of {key} may both be the videos; import the files one by one."
        )
    if not first and not last:
        return dict.fromkeys(files)
    return {file: array if first else turn(array, (-1 % len(array.shape), *range(len(array.shape) - 1)))
            for file, (array, _) in files.items()}  # fmt: skip


def _paths(texts: Mapping[str, list[str]]) -> list[str]:
    """Return names with the path of their file before them, if they are names: a file is often called as its class."""
    every = [text for each in texts.values() for text in each]
    if len(set(every)) < len(every) and all(len(set(each)) == 1 for each in texts.values()):
        return every  # labels
    return [text if "/" in text else f"{file}/{text}" for file, each in texts.items() for text in each]


def _check_shapes(path: Path, key: str, parts: Mapping[str, Array | None]) -> None:
    shapes = {file: part.shape for file, part in parts.items() if part is not None}
    (first, shape), *others = shapes.items()
    for file, other in others:
        if other[1:] != shape[1:]:
            raise ZslbenchError(
                f"in {path.name}, {key} of {first} is {shape}, but of {file} {other}; remove those that differ."
            )
