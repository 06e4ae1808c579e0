"""Read Kinetics' annotations: a CSV with the class, the source video and the times of each clip."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.files import read_csv
from zslbench.tables.text import hidden

SIDES = {"train": "train", "training": "train"} | dict.fromkeys(
    ("test", "testing", "val", "valid", "validate", "validation"), "test"
)  # what parts of a dataset are called -> the side of a list
_CLASS_COLUMNS = ("label", "class", "label_name")
_ID_COLUMNS = ("youtube_id", "video", "id")


@dataclass(frozen=True)
class Annotation:
    """A row of the annotations: a part of a video, in seconds, with its class and the ``split`` as written.

    Examples
    --------
    >>> Annotation("archery", "0wR5jVB-WPk", 10.0, 20.0, "val").part
    '0wR5jVB-WPk_000010_000020'
    """

    class_name: str
    id: str
    start: float
    end: float
    split: str

    @property
    def part(self) -> str:
        """The id of the clip."""
        return f"{self.id}_{self.start:06.0f}_{self.end:06.0f}"

    @property
    def side(self) -> str:
        """``train``, ``test`` or nothing."""
        return SIDES.get(self.split.casefold(), "")


def is_annotations(header: list[str]) -> bool:
    """Return whether the columns of a CSV are those of Kinetics' annotations.

    >>> is_annotations(["label", "youtube_id", "time_start", "time_end", "split", "is_cc"])
    True
    """
    key = any(name in header for name in _ID_COLUMNS)
    return key and any(name in header for name in _CLASS_COLUMNS) and {"time_start", "time_end"} <= set(header)


def read_annotations(dataset: Dataset, file: Path) -> list[Annotation]:
    """Return the rows of an annotation file.

    Raises
    ------
    ZslbenchError
        The file is no CSV with the columns ``label, youtube_id, time_start, time_end``, or a row has an unknown class,
        no valid times, or occurs twice.
    """
    header, lines = read_csv(file)
    if not is_annotations(header) or len(set(header)) < len(header):
        raise ZslbenchError(
            f"{file} has the columns {', '.join(header)}; add the missing ones of label, youtube_id, "
            f"time_start, time_end and, if known, split, each once."
        )
    label = next(name for name in _CLASS_COLUMNS if name in header)
    key = next(name for name in _ID_COLUMNS if name in header)
    rows = [_row(dataset, file, line, dict(zip_longest(header, values)), label, key) for line, values in lines]
    twice = [f"{id_} at {start:g} s" for (id_, start, _), n in Counter((r.id, r.start, r.end) for r in rows).items()
             if n > 1]  # fmt: skip
    if twice:
        what = f"{len(twice):,} parts: {', '.join(twice[:3])}" if len(twice) > 1 else f"1 part: {twice[0]}"
        raise ZslbenchError(f"{file} lists some parts more than once ({what}); keep one row for each part.")
    return rows


def _row(dataset: Dataset, file: Path, line: int, row: dict[Any, Any], label: str, key: str) -> Annotation:
    try:
        start, end = float(row["time_start"]), float(row["time_end"])
    except (TypeError, ValueError):
        start = end = 0.0
    if not (0 <= start < end < float("inf")):  # also refuses NaN, which compares as false
        raise ZslbenchError(
            f"{file}, line {line}, has the times {row['time_start']!r} to {row['time_end']!r}; "
            f"give seconds, with the start before the end."
        )
    if not row[key] or hidden(row[key]):
        raise ZslbenchError(f"{file}, line {line}, has the id {row[key]!r}; give one of visible characters.")
    name = dataset.find_class(str(row[label]))
    if name is None:
        hint = dataset.class_hint(str(row[label]))
        raise ZslbenchError(f"{file}, line {line}, names {row[label]!r}, which is no class of {dataset.name}.{hint}")
    return Annotation(name, row[key], start, end, row.get("split") or "")
