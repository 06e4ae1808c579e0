"""Files beside an ``.npy`` of all videos that say what its rows are: ``names.npy``, ``labels.npy``, ``keys.txt``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path

from zslbench.errors import ZslbenchError
from zslbench.features._arrays import Array, sliced, text_array
from zslbench.features.formats import OPENERS
from zslbench.files import read_lines, reading

_LISTS = ("keys", "names", "ids", "videos", "files", "paths", "filenames", "video_names", "video_ids")
_LABELS = ("labels", "label", "targets", "classes", "y")
_OF_THE_SAME_NAME = (".csv", ".tsv", ".parquet")  # others may be lists of videos that the user did not choose
_FORMATS = (".npy", ".json", ".pkl", ".pickle", *_OF_THE_SAME_NAME)


def beside(path: Path, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the strings and labels of the files beside an .npy file that have one per row."""
    sizes = {size for array in arrays.values() for size in array.shape}
    found: dict[str, Array] = {}
    for file in sorted(path.parent.iterdir()):
        if file == path or not belongs(path, file) or not file.is_file():
            continue
        if file.suffix == ".txt":
            lines = [line for line in read_lines(file, "save it as text in UTF-8") if line]
            found |= {file.name: text_array(lines)} if len(lines) in sizes else {}
            continue
        with contextlib.suppress(ZslbenchError), reading(file), contextlib.ExitStack() as stack:
            inside = OPENERS[file.suffix](file, stack)
            of_rows = {name: array for name, array in inside.items() if _is_list(array, sizes)}
            for name, array in of_rows.items():
                full = file.name if len(inside) == 1 else f"{file.name}/{name}"
                found[full] = text_array(array.texts()) if array.is_text else sliced(array.whole())
    return found


def belongs(path: Path, file: Path) -> bool:
    """Return whether a file is called as the features, or as a list or labels of them."""
    if file.suffix not in (*_FORMATS, ".txt"):
        return False
    if file.stem == path.stem:
        return True
    words = _LISTS if file.suffix == ".txt" else (*_LISTS, *_LABELS)
    word = next((word for word in sorted(words, key=len, reverse=True) if file.stem.endswith(word)), None)
    if word is None or file.suffix in _OF_THE_SAME_NAME:
        return False
    before = file.stem.removesuffix(word)
    return not before or (before[-1] in "_-" and path.stem.startswith(before.rstrip("_-")))


def _is_list(array: Array, sizes: set[int]) -> bool:
    n = math.prod(array.shape)
    return n in sizes and n == max(array.shape, default=0) and not array.dtype.hasobject and not array.items
