"""Videos on disk: HMDB51, UCF101 and Kinetics as they are distributed, and any folder of class folders.

A video's class is given by the outermost of its folders that is a class of the dataset, in any spelling. If there is
no such folder, the file name decides. File names of UCF101, HMDB51 and Kinetics also contain the source group. The
official train and test lists come from the dataset's list files (:mod:`zslbench.video._lists`), or from folders called
``train``, ``val`` and ``test``.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from zslbench.datasets.annotations import SIDES
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_names import read_id
from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.tables.text import visible

SUFFIXES = frozenset(
    (".3gp", ".asf", ".avi", ".divx", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
     ".ogv", ".rm", ".ts", ".vob", ".webm", ".wmv")
)  # fmt: skip
_SHOWN = 6  # names that a message lists before it only counts


@dataclass(frozen=True)
class VideoFile:
    """A video, or a part of one.

    Attributes
    ----------
    id
        Its name in the dataset: the file name without suffix, with as much of its path as makes it unique.
    class_name
        A class of the dataset.
    group
        The source that clips of a class share; ``""`` if unknown.
    official
        ``train``, ``test`` or ``""``.
    start, end
        The part, in seconds; ``None`` for the beginning and the end of the file.
    stamp
        Size and part of the file when an extraction began; shows whether the file was replaced.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> Path("v_Archery_g07_c01.avi").touch()
    >>> (file,), _ = by_folder(get_dataset("ucf101"), walk_videos(Path()))
    >>> file.id, file.class_name, file.group
    ('v_Archery_g07_c01', 'Archery', '07')
    """

    id: str
    path: Path
    class_name: str
    group: str = ""
    official: str = ""
    start: float | None = None
    end: float | None = None
    stamp: str = ""


@dataclass(frozen=True)
class Found:
    """The videos of a folder, sorted by id, and sentences about everything that was left out or looks wrong.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> from zslbench.video.videos import find_videos
    >>> Path("wave").mkdir()
    >>> _ = Path("clip.mp4").rename("wave/clip.mp4")
    >>> [(file.id, file.class_name) for file in find_videos(get_dataset("hmdb51"), Path()).files]
    [('clip', 'wave')]
    """

    files: list[VideoFile]
    problems: list[str]


@dataclass
class Walk:
    """The video files below a folder, sorted, and what else was there.

    Attributes
    ----------
    empty
        Folders without videos and without other folders, as paths from ``root``.
    ignored
        Suffix -> number of files that are not videos.

    Examples
    --------
    >>> _ = Path("notes.txt").write_text("no video")
    >>> walk_videos(Path()).problems()
    ['1 file ignored that are no videos (.txt 1)']
    """

    root: Path
    paths: list[Path] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    loops: list[str] = field(default_factory=list)
    broken_links: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Return one sentence for each kind of thing that was skipped."""
        kinds = ", ".join(f"{suffix or 'no suffix'} {n}" for suffix, n in self.ignored.most_common(_SHOWN))
        sentences = []
        if self.ignored:
            sentences.append(f"{count(self.ignored.total(), 'file')} ignored that are no videos ({kinds})")
        if self.hidden:
            sentences.append(f"{count(self.hidden, 'hidden file or folder', 'hidden files and folders')} ignored")
        sentences += named("folder without videos", self.empty, "folders without videos")
        sentences += named("link back to a folder that it is in", self.loops, "links back to folders that they are in")
        return sentences + named("link that leads nowhere", self.broken_links, "links that lead nowhere")


def walk_videos(folder: Path) -> Walk:
    """Return the video files below a folder; follow links, and count hidden names and other files.

    Raises
    ------
    ZslbenchError
        The folder, or one below it, cannot be read.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}.")
    walk = Walk(folder)
    _walk(walk, folder, ())
    walk.paths.sort()
    return walk


def _walk(walk: Walk, folder: Path, above: tuple[tuple[int, int], ...]) -> None:
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise ZslbenchError(
            f"the folder {folder} cannot be read ({error.strerror}); change its permissions, or move it away."
        ) from error
    place = str(folder.relative_to(walk.root))
    if (status.st_dev, status.st_ino) in above:  # a link to a folder above this one: following it would never end
        walk.loops.append(place)
        return
    above += ((status.st_dev, status.st_ino),)
    nothing = True
    for entry in found:
        suffix = PurePath(entry.name).suffix.casefold()
        if entry.name.startswith(".") or entry.name == "__MACOSX":  # archives made by macOS hold such copies
            walk.hidden += 1
        elif entry.is_dir():
            nothing = False
            _walk(walk, folder / entry.name, above)
        elif not entry.is_file():
            walk.broken_links.append(f"{place}/{entry.name}")
        elif suffix in SUFFIXES:
            nothing = False
            walk.paths.append(folder / entry.name)
        else:
            walk.ignored[suffix] += 1
    if nothing and folder != walk.root:
        walk.empty.append(place)


def by_folder(dataset: Dataset, walk: Walk) -> tuple[list[VideoFile], list[str]]:
    """Return the videos whose class is known from a folder or the file name, and sentences about the problems."""
    files, unknown, misplaced = [], Counter[str](), []
    for path, name in zip(walk.paths, unique_names(walk.paths, walk.root), strict=True):
        folders = path.relative_to(walk.root).parts[:-1]
        told, group = read_id(dataset, path.stem)
        classes = [(i, found) for i, part in enumerate(folders) if (found := dataset.find_class(part))]
        place, class_name = classes[0] if classes else (-1, told or "")
        if not class_name:
            unknown[str(PurePath(*folders))] += 1
            continue
        if told and told != class_name:
            misplaced.append(f"{name} in {folders[-1]}")
        others = (part.casefold() for i, part in enumerate(folders) if i != place)  # a class may be called "train"
        official = next((SIDES[part] for part in others if part in SIDES), "")
        files.append(VideoFile(name, path, class_name, group, official))
    problems = [*([_unknown_folders(dataset, unknown)] if unknown else [])]
    return files, problems + named(
        "video named for another class than its folder's, which counts", misplaced,
        "videos named for another class than their folder's, which counts",
    )  # fmt: skip


def unique_names(paths: Sequence[Path], root: Path) -> list[str]:
    """Return a unique id for each path: its stem, or a longer form if other paths have the same stem.

    These forms are tried in turn: ``stem``, ``stem.suffix``, ``folder/stem``, the path from ``root``, and that path
    with a number. Numbers are for names that differ only in how an accent is encoded. The ids do not depend on the
    order of the paths.
    """
    forms = [
        (path.stem, path.name, f"{path.parent.name}/{path.stem}", str(path.relative_to(root).as_posix()))
        for path in paths
    ]
    level = [0] * len(paths)
    # All paths of a shared name get a longer form together: otherwise one of them would keep the short name, and which
    # one would depend on the order.
    while True:
        names = [_text(form[i]) for form, i in zip(forms, level, strict=True)]
        counts = Counter(names)
        shared = [i for i, name in enumerate(names) if counts[name] > 1 and level[i] < 3]
        if not shared:
            return _numbered(names, paths)
        for i in shared:
            level[i] += 1


def _numbered(names: list[str], paths: Sequence[Path]) -> list[str]:
    seen = Counter[str]()
    # By bytes: the numbers must not depend on the order in which the paths are given.
    for i in sorted(range(len(paths)), key=lambda i: os.fsencode(paths[i])):
        seen[name := names[i]] += 1
        names[i] = name if seen[name] == 1 else f"{name} ({seen[name]})"
    return names


def _text(name: str) -> str:
    """Return a file name as visible text, with accents composed: macOS stores them apart from their letters."""
    return visible(unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace")))


def _unknown_folders(dataset: Dataset, unknown: Counter[str]) -> str:
    shown = []
    for place, n in sorted(unknown.items())[:_SHOWN]:
        hint = suggest(PurePath(place).name, dataset.classes)
        # suggest() returns a sentence; only the names between " Did you mean " and "?" fit in here.
        near = f", did you mean {hint[14:-1]}?" if hint.startswith(" Did you mean") else ""
        where = "no folder" if place == "." else place
        shown.append(f"{where} ({count(n, 'video')}{near})")
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    are = "folders are" if len(unknown) > 1 else "folder is"
    return f"{len(unknown)} {are} no class of {dataset.name} and left out: {', '.join(shown)}{more}"


def nothing_found(dataset: Dataset, walk: Walk, problems: Sequence[str]) -> str:
    """Return the message for a folder without a video of the dataset."""
    if not walk.paths:
        rest = f" ({'; '.join(walk.problems())})" if walk.problems() else ""
        return f"{walk.root} contains no videos{rest}; give the folder that contains the class folders."
    reason = "; ".join(problems)
    return (
        f"{walk.root} contains {count(len(walk.paths), 'video')}, but none of a class of {dataset.name}: {reason}. "
        f"'zslbench datasets {dataset.name}' lists its classes; 'zslbench datasets add' makes a dataset of any folder."
    )


def count(n: int, one: str, many: str | None = None) -> str:
    """Return ``1 file``, ``1,234 files``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def named(one: str, names: Sequence[str], many: str | None = None) -> list[str]:
    """Return a sentence with the number of names and the first of them; an empty list if there are no names."""
    if not names:
        return []
    return [f"{count(len(names), one, many)}: {some(names, _SHOWN)}"]
