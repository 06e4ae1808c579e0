"""Read the text files that come with a dataset's videos: official train and test lists, Kinetics' annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zslbench.datasets.annotations import is_annotations, read_annotations
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.distributed_lists import FORMS, HMDB51_FILE, UCF101_FILE, read_division
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.files import read_csv
from zslbench.video.folders import VideoFile, Walk, named

_KINETICS = "Kinetics' CSV (label, youtube_id, time_start, time_end, split)"


def mark_official(dataset: Dataset, path: Path, files: Sequence[VideoFile]) -> tuple[list[VideoFile], list[str]]:
    """Return the files with their sides of an official division, and sentences about what has no counterpart.

    Parameters
    ----------
    path
        The folder of UCF101's ``trainlist01.txt`` and ``testlist01.txt`` or of HMDB51's ``*_test_split1.txt``; the
        first division is read. Or one of these files: ``trainlist02.txt`` stands for the second division. Or Kinetics'
        CSV, or a folder of its CSVs.

    Raises
    ------
    ZslbenchError
        There are no such files, or one has another format or names an unknown class.
    """
    folder, number = path, 1
    if annotations := _annotations(path):
        return _marked_by_rows(dataset, annotations, files)
    if path.is_file():
        found = UCF101_FILE.fullmatch(path.name) or HMDB51_FILE.fullmatch(path.name)
        if not found:
            raise ZslbenchError(f"{path} is not a known list; {FORMS}, or {_KINETICS}.")
        folder, number = path.parent, int(found["number"])
    elif not path.is_dir():
        raise NotFoundError(f"there is no {path}; {FORMS}.")
    source, sides = f"the official list {number}", {e.key: e.side for e in read_division(dataset, folder, number)}
    # Without suffix and case, so that a re-encoded copy of a dataset matches its lists, too.
    keys = [(file.class_name, file.path.stem.casefold()) for file in files]
    marked = [replace(file, official=sides.get(key, "")) for file, key in zip(files, keys, strict=True)]
    absent = [file.id for file, key in zip(files, keys, strict=True) if key not in sides]
    gone = [f"{name} ({action})" for action, name in sorted(sides.keys() - set(keys))]
    return marked, [
        *named(f"video that is not on {source}", absent, f"videos that are not on {source}"),
        *named(f"entry of {source} without a video", gone, f"entries of {source} without a video"),
    ]


def _annotations(path: Path) -> list[Path]:
    """Return Kinetics' CSVs: the file, or those of a folder that has no other lists."""
    csvs = sorted(path.glob("*.csv")) if path.is_dir() else [path] if path.suffix.lower() == ".csv" else []
    if path.is_dir() and any(
        UCF101_FILE.fullmatch(file.name) or HMDB51_FILE.fullmatch(file.name) for file in path.iterdir()
    ):
        return []
    return [file for file in csvs if is_annotations(read_csv(file)[0])]


def _marked_by_rows(
    dataset: Dataset, annotations: Sequence[Path], files: Sequence[VideoFile]
) -> tuple[list[VideoFile], list[str]]:
    """Return the files with the sides of Kinetics' rows; a row is of a file called by its part, or by its source."""
    rows = [row for file in annotations for row in read_annotations(dataset, file)]
    sides = {row.id: row.side for row in rows} | {row.part: row.side for row in rows}
    marked = [replace(file, official=sides.get(file.path.stem, file.official)) for file in files]
    there = {file.path.stem for file in files}
    name = " and ".join(file.name for file in annotations[:2]) if len(annotations) < 3 else f"{len(annotations)} CSVs"
    absent = [file.id for file in files if file.path.stem not in sides]
    gone = [row.part for row in rows if not {row.part, row.id} & there]
    return marked, [
        *named(f"video that is not in {name}", absent, f"videos that are not in {name}"),
        *named(f"row of {name} without a video", gone, f"rows of {name} without a video"),
    ]


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
    for row in read_annotations(dataset, annotations):
        part, official = row.part, row.side
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
