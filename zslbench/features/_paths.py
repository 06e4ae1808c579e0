"""Spellings of a video's id in feature files: with a folder, a suffix or an extractor's ending."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from zslbench.datasets.video_ids import video_key
from zslbench.errors import ZslbenchError, some
from zslbench.features._arrays import Array, as_one

_SUFFIX = re.compile(
    r"\.(avi|csv|flv|gif|h5|hdf5|jpe?g|jsonl?|m4v|mat|mkv|mov|mp4|mpe?g|np[yz]|parquet|pickle|pkl|png|pth?|safetensors"
    r"|tsv|txt|webm|wmv)$",
    re.IGNORECASE,
)
_FRAME = re.compile(r"/(frame|image|img|thumb)?[_-]?\d+\.(bmp|jpe?g|png)$", re.IGNORECASE)
_TIMES = re.compile(r"^\d{6}_\d{6}[._-]?")  # of a clip of Kinetics
_ENDING = re.compile(r"[._-](?=[^._-]*$)")
# What extractors save beside the features of a video.
_NO_FEATURES = {"fps", "timestamps_ms", "timestamps", "label", "labels", "n_frames", "num_frames", "duration"}
_STREAMS = ("rgb", "flow", *sorted(_NO_FEATURES, key=len, reverse=True))


def without_suffix(name: str) -> str:
    """Return a path without the suffix of a video or feature file.

    >>> without_suffix("Archery/v_Archery_g01_c01.avi"), without_suffix("clip.v2")
    ('Archery/v_Archery_g01_c01', 'clip.v2')
    """
    return _SUFFIX.sub("", name.replace("\\", "/"))


def stem(name: str) -> str:
    """Return the last part of a path, without the suffix of a video or feature file.

    >>> stem("Archery/v_Archery_g01_c01.avi")
    'v_Archery_g01_c01'
    """
    return without_suffix(name).rpartition("/")[2]


def videos_of(paths: Sequence[str]) -> list[str]:
    """Return paths without their last part where it names no video: a frame's image, or a file called so in all.

    >>> videos_of(["YoYo/v_1/frame0001.jpg", "YoYo/v_2/frame0001.jpg"])
    ['YoYo/v_1', 'YoYo/v_2']
    """
    given = [path.replace("\\", "/").rstrip("/") for path in paths]
    folders = [path.rpartition("/")[0] for path in given]
    if not all(folders) or len(set(folders)) < len(given) or len(given) < 2:
        return given
    last = {stem(path) for path in given}
    same = len(last) == 1 and not last.pop().isdecimal()  # CLASS/1.avi is a video
    return videos_of(folders) if same or all(_FRAME.search(path) for path in given) else given


def without_endings(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield names without an ending that all share, the shortest first.

    >>> list(without_endings(["a_rgb_x264", "b_rgb_x264"]))
    [['a_rgb', 'b_rgb'], ['a', 'b']]
    """
    given = [without_suffix(name) for name in names]
    for _, ending in _heads(given[0]) if given else ():
        if all(name[-len(ending) - 1 :] == given[0][-len(ending) - 1 :] for name in given):
            yield [name[: -len(ending) - 1] for name in given]


SPELLINGS: tuple[Callable[[str], str], ...] = (str, without_suffix, stem, video_key)


def common_spelling(names: Iterable[str], ids: Collection[str]) -> tuple[Callable[[str], str], int]:
    """Return the strictest spelling in which most ids are among the names, and their number.

    No two ids become the same in it.

    >>> spelling, n = common_spelling(["x/a.avi", "x/b.avi", "x/c.avi"], ["a", "b"])
    >>> spelling.__name__, n
    ('stem', 2)
    """
    given = list(names)
    usable = [spelling for spelling in SPELLINGS if len(set(map(spelling, ids))) == len(set(ids))]
    shared = [len(set(map(spelling, ids)) & set(map(spelling, given))) for spelling in usable]
    best = max(range(len(usable)), key=shared.__getitem__)
    return usable[best], shared[best]


def arrays_by_video(
    path: Path, arrays: Mapping[str, Array], key: str | None, videos: Collection[str] | None,
    names_class: Callable[[str], object] | None = None,
) -> tuple[set[str], dict[str, Array]] | None:  # fmt: skip
    """Return the names of the arrays that are videos, and the array of each video; ``None`` if rows are videos.

    Parameters
    ----------
    key
        Part of the arrays' paths before or after the video, if there are several per video.
    videos
        The expected videos; ``None`` if only their paths can show them.
    names_class
        Whether a path is that of a video, as it is in the folder of a class or an id of the dataset.

    Raises
    ------
    ZslbenchError
        There are several arrays per video, or two of one name.
    """
    each = {name: as_one(array) for name, array in arrays.items()}
    numbers = {name: array for name, array in each.items() if not array.is_text and not array.items}
    if key is not None:
        part = re.compile(rf"(^|[/._-]){re.escape(key)}(/|$)")
        numbers = {name: array for name, array in numbers.items() if part.search(name)}
    rows_named = any(array.is_text for array in arrays.values())  # a folder of one file per video has only its numbers
    if videos is None:
        of_files = path.is_dir() or path.suffix.lower() == ".zip"
        found = _by_path(numbers, names_class, of_files=of_files and not rows_named, rows_named=rows_named)
    else:
        found = _by_id(numbers, videos)
        if not found and numbers and path.is_dir() and not rows_named:
            found = {"": {name: name for name in numbers}}
    if not found:
        return None
    kind = _choose(path, found, each)
    by_video: dict[str, str] = {}
    twice = []
    for name, video in found[kind].items():
        if by_video.setdefault(video, name) != name:
            twice.append(f"{stem(video)} is both {by_video[video]} and {name}")
    if twice:
        count = "1 video" if len(twice) == 1 else f"{len(twice):,} videos"
        raise ZslbenchError(
            f"{path.name}: {count} twice: {some(twice, 3)}. Remedy: keep one array per video, or choose with --key the "
            f"part of the path that they do not share."
        )
    if videos is not None and kind == "":  # arrays of the same kind as the videos' are videos that the CSV lacks
        dims = {(len(numbers[name].shape), numbers[name].shape[-1:]) for name in found[""]}
        others = {name for name in numbers if not any(name in names for names in found.values())}
        by_video |= {name: name for name in others if (len(each[name].shape), each[name].shape[-1:]) in dims}
    return set(by_video.values()), {video: each[name] for video, name in sorted(by_video.items())}


Kinds = dict[str, dict[str, str]]  # what follows the video in the path -> name of the array -> video


def _by_id(arrays: Mapping[str, Array], videos: Collection[str]) -> Kinds:
    """Return the arrays whose paths hold an id of ``videos``."""
    parts = {part for name in arrays for part in (name, *name.split("/"))}
    spelling, _ = common_spelling([*parts, *(head for part in parts for head, _ in _heads(part))], videos)
    ids = {spelling(video): video for video in videos}
    kinds: Kinds = defaultdict(dict)
    for name in arrays:
        if (at := _find(name, ids, spelling)) is not None:
            kinds[at[1]][name] = at[0]
    return kinds


def _find(name: str, ids: Mapping[str, str], spelling: Callable[[str], str]) -> tuple[str, str] | None:
    """Return the video that a path holds, and what follows it."""
    if (whole := spelling(name)) in ids:
        return ids[whole], ""
    parts = name.split("/")
    for i in reversed(range(len(parts))):
        rest = "/".join(parts[i + 1 :])
        for head, ending in ((parts[i], ""), *_heads(parts[i])):
            if (video := ids.get(spelling(head))) is not None:
                return video, "/".join(filter(None, (_TIMES.sub("", ending), rest)))
    return None


def _heads(part: str) -> list[tuple[str, str]]:
    """Return what is before and after each separator, longest first."""
    found, at = [], len(part)
    while match := _ENDING.search(part, 0, at):
        at = match.start()
        found.append((part[:at], part[at + 1 :]))
    return found


def _by_path(
    arrays: Mapping[str, Array], names_class: Callable[[str], object] | None, *, of_files: bool, rows_named: bool
) -> Kinds:
    """Return the arrays whose paths name a class, as CLASS/VIDEO or VIDEO, and those of one file per video."""
    kinds: Kinds = defaultdict(dict)
    n_named = 0
    for name in arrays:
        video, rest = next(_named_heads(name, names_class), ("", ""))
        n_named += bool(video)
        video, ending = _without_stream(video or name)
        kinds["/".join(filter(None, (ending, rest)))][name] = video
    in_folders = any("/" in name for name in arrays) and not rows_named
    return kinds if of_files or in_folders or 2 * n_named > len(arrays) else {}


def _named_heads(name: str, names_class: Callable[[str], object] | None) -> Iterator[tuple[str, str]]:
    """Yield the beginnings of a path that name a class, the longest first, and what follows each."""
    parts = name.split("/") if names_class else []
    for i in range(len(parts), 0, -1):
        if names_class and names_class("/".join(parts[:i])):
            yield "/".join(parts[:i]), "/".join(parts[i:])


def _without_stream(name: str) -> tuple[str, str]:
    ending = next((each for each in _STREAMS if name.lower().endswith(f"_{each}")), "")
    return (name[: -len(ending) - 1], ending) if ending else (name, "")


def _choose(path: Path, kinds: Kinds, arrays: Mapping[str, Array]) -> str:
    wanted = [kind for kind in kinds if kind.rpartition("/")[2].lower() not in _NO_FEATURES]
    wanted = [kind for kind in wanted if any(math.prod(arrays[name].shape) != 1 for name in kinds[kind])] or wanted
    named = [kind for kind in wanted if kind.rpartition("/")[2].lower() in ("features", "feature", "feat", "feats")]
    wanted = named if len(named) == 1 else wanted
    if "" in wanted and len(kinds[""]) == max(map(len, kinds.values())):
        wanted = [""]
    if len(wanted) == 1:
        return wanted[0]
    counts = Counter({kind: len(names) for kind, names in kinds.items() if kind})
    listed = some([f"{kind} ({n:,})" for kind, n in counts.most_common()])
    raise ZslbenchError(f"{path.name} has several arrays per video: {listed}; choose one with --key.")
