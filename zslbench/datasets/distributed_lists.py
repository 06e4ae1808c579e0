"""Read official lists of training and test videos from the files that come with a dataset.

Two forms are known. UCF101's has ``trainlist01.txt`` and ``testlist01.txt``, whose lines are ``Class/video.avi``, with
or without the number of the class, and ``classInd.txt`` with these numbers. HMDB51's has one file
``wave_test_split1.txt`` per class, whose lines end with 1 (training), 2 (test) or 0 (neither).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from zslbench.datasets.catalog import lists_path
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_ids import CODED_SIDES, VideoList, video_key
from zslbench.datasets.video_lists import VideoLists
from zslbench.errors import NotFoundError, ZslbenchError, some
from zslbench.files import new_file, read_lines

UCF101_FILE = re.compile(r"(?P<side>train|test)list(?P<number>\d+)\.txt")
HMDB51_FILE = re.compile(r"(?P<action>.+)_test_split(?P<number>\d+)\.txt")
FORMS = "give UCF101's folder of trainlist01.txt and testlist01.txt, or HMDB51's of *_test_split1.txt"
_CODES = {"": "0", "train": "1", "test": "2"}


@dataclass(frozen=True)
class ListEntry:
    """A line of a distributed list: a video without suffix, its class and its side (``""``: neither).

    Examples
    --------
    >>> ListEntry("Archery", "v_Archery_g01_c01", "test").key
    ('Archery', 'v_archery_g01_c01')
    """

    class_name: str
    video: str
    side: str

    @property
    def key(self) -> tuple[str, str]:
        """Class and name in lower case, which copies of a dataset share."""
        return self.class_name, self.video.casefold()


def read_division(
    dataset: Dataset, folder: Path, number: int, class_numbers: Mapping[str, str] = MappingProxyType({})
) -> list[ListEntry]:  # fmt: skip
    """Return the entries of list ``number``, in the order of the files.

    Parameters
    ----------
    class_numbers
        Number -> class; a line of UCF101's form with another number is refused.

    Raises
    ------
    ZslbenchError
        There are no such files, a line has another form or an unknown class, or a video occurs twice.
    """
    found: dict[tuple[str, str], tuple[ListEntry, str]] = {}
    for file in sorted(folder.iterdir()):
        if (match := UCF101_FILE.fullmatch(file.name)) and int(match["number"]) == number:
            entries = _of_ucf101(dataset, file, match["side"], class_numbers)
        elif (match := HMDB51_FILE.fullmatch(file.name)) and int(match["number"]) == number:
            entries = _of_hmdb51(file, _class(dataset, match["action"], file, 0))
        else:
            continue
        for entry, line in entries:
            place = f"{file.name}, line {line}"
            other, before = found.setdefault(entry.key, (entry, place))
            if before != place:
                differ = f"as {other.side or 'unused'} and {entry.side or 'unused'}"
                how = differ if other.side != entry.side else "twice"
                raise ZslbenchError(
                    f"{folder} lists {entry.video} {how} ({before}; {place}); keep one of the lines, or fetch it again."
                )
    if not found:
        raise ZslbenchError(f"{folder} has no lists of division {number}; {FORMS}.")
    return [entry for entry, _ in found.values()]


def _of_ucf101(
    dataset: Dataset, file: Path, side: str, numbers: Mapping[str, str]
) -> Iterator[tuple[ListEntry, int]]:  # fmt: skip
    for line, text in _lines(file):
        name, *label = text.split()
        video = PurePosixPath(name)  # "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"
        class_name = _class(dataset, video.parent.name, file, line)
        if label and label[0] in numbers and numbers[label[0]] != class_name:
            raise ZslbenchError(
                f"{file}, line {line}, has the class number {label[0]}, which classInd.txt gives to "
                f"{numbers[label[0]]} and not to {class_name}; fetch both files again."
            )
        yield ListEntry(class_name, video.stem, side), line


def _of_hmdb51(file: Path, class_name: str) -> Iterator[tuple[ListEntry, int]]:
    for line, text in _lines(file):
        name, _, side = text.rpartition(" ")  # "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1"
        if side not in CODED_SIDES:
            raise ZslbenchError(f"{file}, line {line}, ends with {side!r} and not with 0, 1 or 2; fix the line.")
        yield ListEntry(class_name, PurePosixPath(name.strip()).stem, CODED_SIDES[side]), line


def _class_numbers(dataset: Dataset, folder: Path) -> dict[str, str]:
    """Return number -> class of ``classInd.txt``; empty without that file."""
    file = folder / "classInd.txt"
    if not file.is_file():
        return {}
    rows = [(line, *text.partition(" ")[::2]) for line, text in _lines(file)]
    return {number: _class(dataset, name.strip(), file, line) for line, number, name in rows}


def _lines(file: Path) -> list[tuple[int, str]]:
    lines = enumerate(read_lines(file, "fetch it again"), start=1)
    return [(i, line) for i, line in lines if line]


def _class(dataset: Dataset, name: str, file: Path, line: int) -> str:
    if found := dataset.find_class(name):
        return found
    place = f"{file}, line {line}," if line else str(file)
    raise ZslbenchError(f"{place} names {name!r}, which is no class of {dataset.name}.{dataset.class_hint(name)}")


def read_distributed(dataset: Dataset, folder: Path) -> VideoLists:
    """Return all official lists of a folder, as ``official-1``, ``official-2``, ...

    Raises
    ------
    ZslbenchError
        There are none, a list or one of its sides is missing, a video has two classes, or a file is wrong.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}; {FORMS}.")
    names = [path.name for path in folder.iterdir()]
    last = max((int(m["number"]) for name in names if (m := _match(name))), default=0)
    if not last:
        raise ZslbenchError(f"{folder} has no official lists; {FORMS}.")
    numbers = _class_numbers(dataset, folder)
    divisions = {number: read_division(dataset, folder, number, numbers) for number in range(1, last + 1)}
    for number, entries in divisions.items():
        _check_complete(dataset, folder, number, entries)
    class_of: dict[str, ListEntry] = {}
    for entry in (entry for entries in divisions.values() for entry in entries):
        first = class_of.setdefault(video_key(entry.video), entry)
        if first.class_name != entry.class_name:
            raise ZslbenchError(
                f"{folder} lists {entry.video} as {first.class_name} and as {entry.class_name}; rename one of them."
            )
    videos: dict[str, list[str]] = {name: [] for name in dataset.classes}
    for entry in class_of.values():
        videos[entry.class_name].append(entry.video)
    ordered = [video for name in videos for video in sorted(videos[name])]
    lists = {}
    for number, entries in divisions.items():
        code = {video_key(entry.video): _CODES[entry.side] for entry in entries}
        sides = "".join(code.get(video_key(video), "0") for video in ordered)
        lists[f"official-{number}"] = {"source": f"list {number} of the files in {folder.name}", "sides": sides}
    return VideoLists.model_validate(
        {"dataset": dataset.name, "videos": {name: sorted(found) for name, found in videos.items()}, "lists": lists}
    )


def _match(name: str) -> re.Match[str] | None:
    return UCF101_FILE.fullmatch(name) or HMDB51_FILE.fullmatch(name)


def _check_complete(dataset: Dataset, folder: Path, number: int, entries: list[ListEntry]) -> None:
    """Refuse a list that lacks one of its sides, or all videos of a class on a side."""
    for side in ("train", "test"):
        there = {entry.class_name for entry in entries if entry.side == side}
        if absent := [name for name in dataset.classes if name not in there]:
            raise ZslbenchError(
                f"list {number} in {folder} has no {'training' if side == 'train' else 'test'} videos of "
                f"{len(absent)} of {len(dataset.classes)} classes ({some(absent, 3)}); add the missing files or lines."
            )


def differences(given: VideoLists, published: VideoLists) -> list[str]:
    """Return a sentence about each official list that differs from the published one."""
    names = [name for name in published.lists if name.startswith("official-")]
    absent = [name for name in names if name not in given.lists]
    found = [f"{name} is not there" for name in absent]
    for name in names:
        if name not in absent:
            found += _differences(given.named(name), published.named(name))
    return found


def _differences(given: VideoList, published: VideoList) -> Iterator[str]:
    if given.digest == published.digest:
        return
    sizes = [f"{len(each.train):,} + {len(each.test):,}" for each in (given, published)]
    videos = [*given.train, *given.test, *published.train, *published.test]
    moved = {
        video_key(video): video
        for video, one, other in zip(videos, given.sides(videos), published.sides(videos), strict=True)
        if one != other
    }
    size = f"{sizes[0]} videos instead of {sizes[1]}, and " if sizes[0] != sizes[1] else ""
    noun = "video" if len(moved) == 1 else "videos"
    yield f"{given.name} has {size}{len(moved):,} {noun} on another side ({some(sorted(moved.values()), 2)})"


def store_lists(dataset: Dataset, given: VideoLists, *, replace: bool = False) -> Path:
    """Store a dataset's official lists in ``data_root()/lists``, whole or not at all, and return the path.

    Raises
    ------
    ZslbenchError
        Lists of this dataset are shipped, or others are stored and ``replace`` is false.
    """
    if dataset.lists_file:
        raise ZslbenchError(f"zslbench ships the lists of {dataset.name}; yours are compared with them and not stored.")
    path = lists_path(dataset.name)
    if path.exists() and not replace:
        raise ZslbenchError(
            f"{dataset.name} already has lists in {path}; add --replace to replace them, or remove that file."
        )
    with new_file(path) as work:
        work.write_bytes(gzip.compress(given.model_dump_json().encode(), mtime=0))
    return path
