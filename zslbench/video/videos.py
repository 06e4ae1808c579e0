"""The videos of a folder: one directory per class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zslbench.datasets.annotations import SIDES
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.video._lists import annotated, mark_official
from zslbench.video.folders import Found, by_folder, named, nothing_found, walk_videos


def find_videos(dataset: Dataset, folder: Path, *, annotations: Path | None = None, lists: Path | None = None) -> Found:
    """Return the videos of a dataset that lie below a folder.

    Parameters
    ----------
    folder
        Class folders, at any depth.
    annotations
        Kinetics' CSV (``label, youtube_id, time_start, time_end, split``), which then gives classes, parts and lists.
        Files are found by their id, with or without the times after it.
    lists
        The official list files, or the folder that contains them: see :func:`zslbench.video._lists.mark_official`.

    Raises
    ------
    ZslbenchError
        The folder cannot be read or contains no video of the dataset, or the annotations or lists have another format.
    """
    walk = walk_videos(folder)
    if annotations is not None:
        files, problems = annotated(dataset, walk, annotations)
    else:
        files, problems = by_folder(dataset, walk)
    if not files:
        raise ZslbenchError(nothing_found(dataset, walk, problems))
    if lists is not None:
        files, more = mark_official(dataset, lists, files)
        problems += more
    return Found(sorted(files, key=lambda file: file.id), problems + walk.problems())


def class_folders(folder: Path) -> tuple[dict[str, int], list[str]]:
    """Return the class folders below a folder with their numbers of videos, and sentences about everything else.

    The classes are the folders directly below it. If these are only ``train``, ``val`` and ``test``, the classes are
    the folders below them.

    Raises
    ------
    ZslbenchError
        The folder cannot be read, or has no class folder with a video.
    """
    walk = walk_videos(folder)
    inside = [path.relative_to(folder).parts for path in walk.paths]
    if all(parts[0].casefold() in SIDES for parts in inside):
        inside = [parts[1:] for parts in inside]
    counts = Counter(parts[0] for parts in inside if len(parts) > 1)
    if not counts:
        raise ZslbenchError(
            f"{folder} has no class folders with videos; give a folder that contains one folder of videos per class."
        )
    loose = [parts[0] for parts in inside if len(parts) == 1]
    return dict(sorted(counts.items())), [*named("video in no class folder", loose, "videos in no class folder"),
                                          *walk.problems()]  # fmt: skip
