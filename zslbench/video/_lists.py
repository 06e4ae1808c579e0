"""Read the text files that come with a dataset's videos: official train and test lists, Kinetics' annotations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.files import read_csv, read_lines
from zslbench.tables.text import hidden
from zslbench.video.folders import SPLIT_FOLDERS, VideoFile, Walk, named

_UCF101 = re.compile(r"(?P<side>train|test)list(?P<number>\d+)\.txt")
_HMDB51 = re.compile(r"(?P<action>.+)_test_split(?P<number>\d+)\.txt")
_HMDB51_SIDES = {"0": "", "1": "train", "2": "test"}
_CLASS_COLUMNS = ("label", "class", "label_name")
_ID_COLUMNS = ("youtube_id", "video", "id")


def mark_official(dataset: Dataset, path: Path, files: Sequence[VideoFile]) -> tuple[list[VideoFile], list[str]]:
    """Return the files with their sides of an official division, and sentences about what has no counterpart.

    Parameters
    ----------
    path
        The folder of UCF101's ``trainlist01.txt`` and ``testlist01.txt`` or of HMDB51's ``*_test_split1.txt``; the
        first division is read. Or one of these files: ``trainlist02.txt`` stands for the second division.

    Raises
    ------
    ZslbenchError
        There are no such files, or one has another format or names an unknown class.
    """
    folder, number = path, 1
    if path.is_file():
        found = _UCF101.fullmatch(path.name) or _HMDB51.fullmatch(path.name)
        if not found:
            raise ZslbenchError(f"{path} is not a known list; {_FORMS}.")
        folder, number = path.parent, int(found["number"])
    elif not path.is_dir():
        raise NotFoundError(f"there is no {path}; {_FORMS}.")
    source, sides = f"the official list {number}", _sides(dataset, folder, number)
    # Without suffix and case, so that a re-encoded copy of a dataset matches its lists, too.
    keys = [(file.class_name, file.path.stem.casefold()) for file in files]
    marked = [replace(file, official=sides.get(key, "")) for file, key in zip(files, keys, strict=True)]
    absent = [file.id for file, key in zip(files, keys, strict=True) if key not in sides]
    gone = [f"{name} ({action})" for action, name in sorted(sides.keys() - set(keys))]
    return marked, [
        *named(f"video that is not on {source}", absent, f"videos that are not on {source}"),
        *named(f"entry of {source} without a video", gone, f"entries of {source} without a video"),
    ]


def _sides(dataset: Dataset, folder: Path, number: int) -> dict[tuple[str, str], str]:
    """Return (class, lower-case file name without suffix) -> ``train``, ``test`` or ``""`` (HMDB51: in neither)."""
    sides: dict[tuple[str, str], str] = {}
    for file in sorted(folder.iterdir()):
        if (found := _UCF101.fullmatch(file.name)) and int(found["number"]) == number:
            for line, entry in _lines(file):
                video = PurePosixPath(entry.split()[0])  # "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"
                sides[_class(dataset, video.parent.name, file, line), video.stem.casefold()] = found["side"]
        elif (found := _HMDB51.fullmatch(file.name)) and int(found["number"]) == number:
            class_name = _class(dataset, found["action"], file, 0)
            for line, entry in _lines(file):
                name, _, side = entry.rpartition(" ")  # "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1"
                if side not in _HMDB51_SIDES:
                    raise ZslbenchError(
                        f"{file}, line {line}, ends with {side!r} and not with 0, 1 or 2; fix the line."
                    )
                sides[class_name, PurePosixPath(name.strip()).stem.casefold()] = _HMDB51_SIDES[side]
    if not sides:
        raise ZslbenchError(f"{folder} has no lists of division {number}; {_FORMS}.")
    return sides


_FORMS = "give UCF101's folder of trainlist01.txt and testlist01.txt, or HMDB51's of *_test_split1.txt"


def _lines(file: Path) -> list[tuple[int, str]]:
    lines = enumerate(read_lines(file, "fetch it again"), start=1)
    return [(i, line) for i, line in lines if line]


def _class(dataset: Dataset, name: str, file: Path, line: int) -> str:
    if found := dataset.find_class(name):
        return found
    place = f"{file}, line {line}," if line else str(file)
    raise ZslbenchError(f"{place} names {name!r}, which is no class of {dataset.name}.{suggest(name, dataset.classes)}")


def annotated(dataset: Dataset, walk: Walk, annotations: Path) -> tuple[list[VideoFile], list[str]]:
    """Return the videos of an annotation file that were found, and sentences about those that were not.

    A file called ``ID_000010_000020`` is the part itself. A file called ``ID`` is the whole video, and is cut.

    Raises
    ------
    ZslbenchError
        The file is no CSV with the columns ``label, youtube_id, time_start, time_end``, or a row has an unknown class,
        no valid times, or occurs twice.
    """
    there = {path.stem: path for path in reversed(walk.paths)}  # reversed: of two files with one name the first counts
    files: list[VideoFile] = []
    gone: list[str] = []
    used: set[Path] = set()
    for row in _rows(dataset, annotations):
        part = f"{row.id}_{row.start:06.0f}_{row.end:06.0f}"
        official = SPLIT_FOLDERS.get(row.split.casefold(), "")
        if path := there.get(part):
            files.append(VideoFile(part, path, row.class_name, row.id, official))
        elif path := there.get(row.id):
            files.append(VideoFile(part, path, row.class_name, row.id, official, row.start, row.end))
        else:
            gone.append(part)
            continue
        used.add(path)
    other = [path.stem for path in walk.paths if path not in used]
    return files, [
        *named(f"row of {annotations.name} without a video", gone, f"rows of {annotations.name} without a video"),
        *named(f"video that {annotations.name} does not list", other, f"videos that {annotations.name} does not list"),
    ]


@dataclass(frozen=True)
class _Row:
    class_name: str
    id: str
    start: float
    end: float
    split: str


def _rows(dataset: Dataset, file: Path) -> list[_Row]:
    header, lines = read_csv(file)
    label = next((name for name in _CLASS_COLUMNS if name in header), "")
    key = next((name for name in _ID_COLUMNS if name in header), "")
    if not (label and key and {"time_start", "time_end"} <= set(header)) or len(set(header)) < len(header):
        raise ZslbenchError(
            f"{file} has the columns {', '.join(header)}; add the missing ones of label, youtube_id, "
            f"time_start, time_end and, if known, split, each once."
        )
    rows = [_row(dataset, file, line, dict(zip_longest(header, values)), label, key) for line, values in lines]
    twice = [f"{id_} at {start:g} s" for (id_, start, _), n in Counter((r.id, r.start, r.end) for r in rows).items()
             if n > 1]  # fmt: skip
    if twice:
        what = named("part", twice)[0]
        raise ZslbenchError(f"{file} lists some parts more than once ({what}); keep one row for each part.")
    return rows


def _row(dataset: Dataset, file: Path, line: int, row: dict[Any, Any], label: str, key: str) -> _Row:
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
    return _Row(_class(dataset, row[label], file, line), row[key], start, end, row.get("split") or "")
