"""Read the videos of features from the lists that datasets and code bases have, instead of a CSV.

A line is a path with the number of its class, its class, or a folder of its class: ``Archery/v_Archery_g01_c01.avi 3``.
UCF101's, HMDB51's and Kinetics' own files say which videos train and which are tested.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from zslbench.datasets.annotations import SIDES, is_annotations, read_annotations
from zslbench.datasets.class_lists import CANONICAL, ClassList, class_numbers
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.distributed_lists import FORMS, HMDB51_FILE, UCF101_FILE
from zslbench.datasets.video_ids import CODED_SIDES, without_suffix
from zslbench.datasets.video_names import named_class, read_id, without_ending
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features._video_table import VideoTable, class_hint, read_videos, refuse
from zslbench.features.formats import OPENERS
from zslbench.files import read_lines, reading
from zslbench.tables.text import hidden

_DRAWN = re.compile(r"few_?shot|(^|_)fs_|novel|base", re.IGNORECASE)  # draws are no official lists
_NO_TEXT = {".xls", ".xlsx", ".ods", *OPENERS} - {".csv", ".tsv", ".txt"}
_UNKNOWN = "-1"
_PATH = re.compile(r"(video|clip|file)?_?(path|name|id)|file|clip|video|filename")
_LABEL = re.compile(r"(class|action|label|category)(_?(name|id|idx|index))?s?")
_OTHER = re.compile(r"split|official|subset|group")  # only the CSV of docs/data.md has these
_HEADER = re.compile(r"(video|file|class)?_?(name|path|id|label)s?|videos?|class|(total_)?frames", re.IGNORECASE)


@dataclass(frozen=True)
class _Entry:
    """A line of a list: the video's path, its class as written (a number, a name or nothing), and its side."""

    path: str
    label: str
    where: str
    side: str = ""
    number: int = 0  # of the list; 0 if it has none
    class_name: str = ""  # if the file says it


def read_listed(
    dataset: Dataset, paths: Sequence[Path], lengths_column: str | None = None, class_list: Path | None = None
) -> VideoTable:
    """Return the videos of a CSV (:func:`read_videos`), or of lists in another form.

    Parameters
    ----------
    paths
        One CSV. Or list files, whose videos follow each other in this order; or a folder of UCF101's or HMDB51's.
    class_list
        The file that gives classes their numbers, if the lists have numbers.

    Raises
    ------
    ZslbenchError
        A file is missing or malformed, a class is unknown or ambiguous, or lists contradict each other.
    """
    files = [file for path in paths for file in _files(path)]
    for file in files:
        if file.suffix.lower() in _NO_TEXT:
            raise ZslbenchError(f"{file.name} is no list of text; write a CSV with the columns video and class.")
    if len(paths) == 1 and len(files) == 1 and _is_table(files[0]):
        if class_list is not None:
            raise ZslbenchError(f"{files[0].name} names its classes in a column; leave out --class-list.")
        return read_videos(dataset, files[0], lengths_column)
    if lengths_column is not None:
        raise ZslbenchError("--lengths-column names a column of a CSV with the columns video and class; give that.")
    beside = [path / "classInd.txt" for path in paths if (path / "classInd.txt").is_file()]
    numbers = class_list or (beside[0] if beside else None)
    known = class_numbers(dataset, numbers)
    entries = [entry for file in files for entry in _entries(dataset, file)]
    if not entries:
        raise ZslbenchError(f"{files[0].name} lists no videos; add one line per video.")
    entries, notes = _with_classes(dataset, entries, known)
    return _table(dataset, paths[0], files, entries, notes)


def table_of_rows(
    dataset: Dataset, path: Path, rows: Sequence[tuple[str, str]], class_list: Path | None = None
) -> VideoTable:
    """Return the videos of a feature file that has the path and the label of each row.

    Raises
    ------
    ZslbenchError
        A class is unknown, or the number of a class contradicts the folder or the id; or a video occurs twice.
    """
    entries = [_Entry(each, label, f"row {i}") for i, (each, label) in enumerate(rows, 1)]
    known = class_numbers(dataset, class_list)
    if class_list == CANONICAL and path.suffix.lower() == ".mat":
        known = ClassList(f"the order of {dataset.name}", dataset.classes, 1)  # MATLAB counts from 1
    entries, notes = _with_classes(dataset, entries, known, path.name)
    table = _table(dataset, path, [path], entries, notes)
    if len(table.ids) != len(rows):
        raise ZslbenchError(f"{path.name} names {len(rows) - len(table.ids):,} videos twice; keep one row per video.")
    return table


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if UCF101_FILE.fullmatch(file.name) or HMDB51_FILE.fullmatch(file.name)]
    if not found:
        raise NotFoundError(f"{path} has no official lists; {FORMS}, or name the files with --videos, one by one.")
    return sorted(found, key=lambda file: (_number(file.name), "train" not in file.name, file.name))


def _number(name: str) -> int:
    match = UCF101_FILE.fullmatch(name) or HMDB51_FILE.fullmatch(name)
    return int(match["number"]) if match else 0


def _is_table(file: Path) -> bool:
    """Return whether a file has the header of a table of videos, or tries to: a CSV whose lines have no label last."""
    first = _first(file)
    cells = [cell.strip().strip('"') for cell in re.split(r"[,;\t]", first)]
    if {"video", "class"} <= {cell.lower() for cell in cells}:
        return True
    if _places(cells) is not None:
        return False
    return file.suffix.lower() == ".csv" and "," in first and not is_annotations(first.split(",")) and (
        not _labelled(file)
    )  # fmt: skip


def _first(file: Path) -> str:
    what = "a CSV" if file.suffix.lower() == ".csv" else "text"
    return next(filter(None, read_lines(file, f"save it as {what} in UTF-8")), "")


def _labelled(file: Path) -> bool:
    """Return whether the last cell of each line is a number or -1, but for a header."""
    lines = [line for line in read_lines(file, "save it as text in UTF-8") if line][:50]
    return bool(lines) and all(re.search(r"[,\s]-?\d+\s*$", line) for line in lines[1:] or lines)


def _entries(dataset: Dataset, file: Path) -> Iterator[_Entry]:
    first = _first(file)
    if match := HMDB51_FILE.fullmatch(file.name):
        yield from _of_hmdb51(dataset, file, match["action"], int(match["number"]))
    elif is_annotations([cell.strip() for cell in first.split(",")]):
        for row in read_annotations(dataset, file):
            yield _Entry(row.part, "", f"{file.name}, {row.part}", row.side, 1, row.class_name)
    else:
        match = UCF101_FILE.fullmatch(file.name)
        side, number = (match["side"], int(match["number"])) if match else _side_of(file.name)
        for line, path, label in _lines(file):
            yield _Entry(path, label, f"{file.name}, line {line}", side, number)


def _of_hmdb51(dataset: Dataset, file: Path, action: str, number: int) -> Iterator[_Entry]:
    name = dataset.find_class(action)
    if name is None:
        raise ZslbenchError(f"{file.name} names {action!r}, which is no class of {dataset.name}; rename the file.")
    for line, path, label in _lines(file):
        if label not in CODED_SIDES:
            raise ZslbenchError(f"{file.name}, line {line}, ends with {label!r} and not with 0, 1 or 2; fix the line.")
        yield _Entry(path, "", f"{file.name}, line {line}", CODED_SIDES[label], number, name)


def _side_of(name: str) -> tuple[str, int]:
    """Return the side and the number that a file's name has: ``ucf101_train_split_2_videos.txt``, ``val1.txt``."""
    stem = PurePosixPath(name).stem
    words = re.findall(r"[a-z]+|\d+", stem.casefold())
    words = [word.removesuffix("list") for word in words]
    sides = {SIDES[word] for word in words if word in SIDES}
    if len(sides) != 1 or _DRAWN.search(stem):
        return "", 0
    after = [int(b) for a, b in pairwise(words) if (a in SIDES or a == "split") and b.isdecimal()]
    return sides.pop(), after[0] if after else 1


def _lines(file: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the path and the label of each line; a header is left out, and so are numbers of frames."""
    lines = [(i, line) for i, line in enumerate(read_lines(file, "fetch it again"), 1) if line]
    if not lines:
        return
    mark = next((mark for mark in "\t,;" if mark in lines[0][1]), "")
    with reading(file, "fetch it again"):
        rows = [(i, next(csv.reader([line], delimiter=mark, strict=True)) if mark else _spaced(line))
                for i, line in lines]  # fmt: skip
    places, width = _places(rows[0][1]), len(rows[0][1])
    if places or all(_HEADER.fullmatch(cell.strip()) for cell in rows[0][1]):
        rows = rows[1:]
    first, last = places or (0, -1)
    for i, cells in rows:
        if places and len(cells) != width:
            raise ZslbenchError(
                f"{file.name}, line {i}, has {len(cells)} values, the header has {width}; fix the line."
            )
        cells = [cell.strip() for cell in cells]
        label = cells[last] if len(cells) > 1 else ""
        yield i, cells[first].replace("\\", "/").rstrip("/"), label


def _places(header: Sequence[str]) -> tuple[int, int] | None:
    """Return the columns of the paths and the labels, if a header names both, and no lists or groups."""
    names = [name.strip().lower() for name in header]
    paths = [i for i, name in enumerate(names) if _PATH.fullmatch(name)]
    labels = sorted((i for i, name in enumerate(names) if _LABEL.fullmatch(name)), key=lambda i: "name" not in names[i])
    return (paths[0], labels[0]) if paths and labels and not any(map(_OTHER.match, names)) else None


def _spaced(line: str) -> list[str]:
    """Return the path of a line, which may have spaces, numbers (frames, start and end) if there are, and the label."""
    match = re.fullmatch(r"(.*?\.\w{2,5}|\S+)((?:\s+\d+)*?)(?:\s+(-?\w+))?", line)
    if match:
        return [cell for cell in match.groups() if cell and cell.strip()]
    path, _, label = line.rpartition(" ")
    return [path, label] if re.fullmatch(r"-?\d+", label) else [line]


def _with_classes(
    dataset: Dataset, entries: Sequence[_Entry], known: ClassList | None, file: str = "the lists"
) -> tuple[list[_Entry], list[str]]:  # fmt: skip
    """Return the entries with their classes, and notes on where the classes come from."""
    by_id, notes = named_class(dataset), []
    numbered = [entry for entry in entries if entry.label.isdecimal() and not entry.class_name]
    first = _first_number(known, numbered, by_id) if known and numbered else 0
    if known and numbered:
        notes.append(f"classes by {known.file}: the lists number its {len(known.names)} classes from {first}")
    found, problems, by_ids = [], [], 0
    for entry in entries:
        name, complaint = _class_of(dataset, entry, known, first)
        if not name and not complaint:
            name, by_ids = by_id(entry.path) or "", by_ids + 1
        if not name:
            problems.append(f"{entry.where}: {complaint or _without_class(entry, dataset)}")
        found.append(replace(entry, class_name=name))
    if problems:
        missing = numbered and not known
        remedy = (
            "name the file of class numbers with --class-list, such as classInd.txt" if missing else "fix the lists"
        )
        refuse(file, "wrong line" if file == "the lists" else "wrong row", problems, remedy)
    if known and numbered:
        _check_numbers(known, [entry for entry in found if entry.label.isdecimal()], by_id)
    if by_ids:
        notes.append(f"classes of {by_ids:,} videos by their ids")
    return found, notes


def _check_numbers(known: ClassList, entries: Sequence[_Entry], by_id: Callable[[str], str | None]) -> None:
    """Refuse a class list if more than half of the ids name other classes; a few are left to a note."""
    named = [(entry, name) for entry in entries if (name := by_id(entry.path))]
    wrong = [(entry, name) for entry, name in named if entry.class_name != name]
    if 2 * len(wrong) > len(named):
        entry, name = wrong[0]
        raise ZslbenchError(
            f"{known.file} is not the class list of these lists: it makes {entry.path} ({entry.where}) "
            f"{entry.class_name}, its id names {name}, and {len(wrong):,} of {len(named):,} ids disagree; give the "
            "right --class-list, or none, as the ids name the classes."
        )


def _class_of(dataset: Dataset, entry: _Entry, known: ClassList | None, first: int) -> tuple[str, str]:
    """Return the class that a line gives, or a complaint; neither if only the id may tell."""
    folder = PurePosixPath(entry.path).parent.name
    inside = entry.class_name or (dataset.find_class(folder) if folder else None) or ""
    if entry.class_name or entry.label in ("", _UNKNOWN):
        return inside, ""
    if not entry.label.isdecimal():
        name = dataset.find_class(entry.label) or ""
        return name, "" if name else f"{entry.label!r} is no class of {dataset.name}{class_hint(entry.label, dataset)}"
    if known is None:
        return inside, ""
    name = known.names[int(entry.label) - first]
    if inside and inside != name:
        return "", f"the number {entry.label} is {name} in {known.file}, but the folder is {folder}"
    return name, ""


def _without_class(entry: _Entry, dataset: Dataset) -> str:
    if entry.label == _UNKNOWN:
        return "the label -1 stands for an unknown class; leave out the line and its features"
    if entry.label:
        return f"nothing says which class of {dataset.name} has the number {entry.label}"
    return f"{entry.path!r} has no label, no folder of a class and no known id"


def _first_number(known: ClassList, entries: Sequence[_Entry], by_id: Callable[[str], str | None]) -> int:
    """Return whether the lists number classes from 0 or from 1, as far as the lists show it.

    Raises
    ------
    ZslbenchError
        A number is outside the class list, or both readings are possible.
    """
    numbers = {int(entry.label) for entry in entries}
    possible = [first for first in (0, 1) if min(numbers) >= first and max(numbers) < first + len(known.names)]
    if not possible:
        raise ZslbenchError(
            f"the lists have class numbers from {min(numbers)} to {max(numbers)}, but {known.file} has "
            f"{len(known.names)} classes; give the class list that belongs to them."
        )
    if len(possible) == 1:
        return possible[0]
    wrong = Counter(dict.fromkeys(possible, 0))
    for entry in entries:
        if name := by_id(entry.path):
            wrong.update(first for first in possible if known.names[int(entry.label) - first] != name)
    if wrong[0] != wrong[1]:
        return min(possible, key=lambda first: wrong[first])
    if known.first is None:
        raise ZslbenchError(
            f"the lists have class numbers from {min(numbers)} to {max(numbers)}, which may count the "
            f"{len(known.names)} names of {known.file} from 0 or from 1; write the numbers before the names."
        )
    return known.first


def _table(
    dataset: Dataset, path: Path, files: Sequence[Path], entries: Sequence[_Entry], notes: list[str]
) -> VideoTable:  # fmt: skip
    """Return one row per video, in the order of its first line, with the sides of each list."""
    places = {(entry.number, entry.side, entry.path) for entry in entries}
    stems = Counter((number, side, _stem(dataset, each)) for number, side, each in places)
    several = {stem for (*_, stem), n in stems.items() if n > 1}  # 1.avi in every class: the folder is of the id
    rows: dict[str, _Entry] = {}
    sides: dict[int, dict[str, str]] = {}
    problems = []
    for entry in entries:
        video = _stem(dataset, entry.path)
        if video in several:
            video = "/".join(without_suffix(entry.path).split("/")[-2:])
        before = rows.setdefault(video, entry)
        if not video or hidden(video):
            problems.append(f"{entry.where}: {video!r} is no id of visible characters")
        elif before.class_name != entry.class_name:
            problems.append(f"{video} is {before.class_name} ({before.where}) and {entry.class_name} ({entry.where})")
        elif video in sides.get(entry.number, {}):
            problems.append(f"{video} is twice on a list ({before.where}; {entry.where})")
        sides.setdefault(entry.number, {})[video] = entry.side
    if problems:
        refuse("the lists", "wrong line", problems, "keep one line per video and list, or fetch the lists again")
    whole = {n: of for n, of in sorted(sides.items()) if n and {"train", "test"} <= set(of.values())}
    columns = {i: [of.get(video, "") for video in rows] for i, of in enumerate(whole.values(), 1)}
    order = ", then ".join(file.name for file in files[:3]) + (f", then {len(files) - 3} more" if files[3:] else "")
    notes.append(f"{len(rows):,} videos in the order of {order}")
    for i, column in columns.items():
        notes.append(f"official list {i}: {column.count('train'):,} training and {column.count('test'):,} test videos")
    if len(files) > 1 and not columns:
        notes.append("no official list: no two of the files are the training and test side of one")
    return VideoTable(
        path=path,
        ids=list(rows),
        classes=[entry.class_name for entry in rows.values()],
        groups=[read_id(dataset, video)[1] for video in rows],
        official=columns.pop(1, [""] * len(rows)),
        where=[entry.where for entry in rows.values()],
        notes=tuple(notes),
        more_official=columns,
    )


def _stem(dataset: Dataset, path: str) -> str:
    return without_ending(dataset, without_suffix(path.rstrip("/").rpartition("/")[2]))
