"""Lists of videos: which videos of a dataset train and which are tested.

A dataset's lists lie in one file, which is shipped with it or stored in ``data_root()/lists``. They are official lists
(``official-1``), published draws of K labelled videos per class (``16-shot-1``), and those of the base classes
(``base-to-novel-1``). Lists contain video ids, so features need no column of their own.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.datasets.catalog import get_dataset, lists_path
from zslbench.datasets.video_ids import CODED_SIDES, VideoList, video_key
from zslbench.digests import derive_seed
from zslbench.errors import NotFoundError, ZslbenchError, problem, suggest
from zslbench.files import reading


class _ListRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = ""
    sides: str  # one character per video: 1 train, 2 test, 0 neither
    test_of: str = ""  # another list, whose test videos are tested


class PublishedCount(BaseModel):
    """The number of test videos of a list in another public source: clips of Kinetics disappear from YouTube.

    Examples
    --------
    >>> PublishedCount(list="kinetics-zsar-1", videos=14119, source="BIKE").videos
    14119
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    list: str
    videos: int
    source: str


class VideoLists(BaseModel):
    """All lists of one dataset, as the file has them.

    Attributes
    ----------
    videos
        Class -> ids of its videos.
    lists
        Name -> a text with one character per video, in the order of ``videos``: 1 train, 2 test, 0 neither.
    base
        The classes that a published base-to-novel protocol trains on; the others are novel.
    counts
        Numbers of test videos in other sources.

    Examples
    --------
    >>> lists = VideoLists(dataset="mine", videos={"run": ["a", "b"]}, lists={"official-1": {"sides": "12"}})
    >>> lists.named("official-1").test
    ('b',)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    videos: dict[str, list[str]]
    lists: dict[str, _ListRecord]
    base: tuple[str, ...] = ()
    base_source: str = ""
    counts: tuple[PublishedCount, ...] = ()

    @cached_property
    def ids(self) -> list[str]:
        """All videos, class by class."""
        return [video for videos in self.videos.values() for video in videos]

    @cached_property
    def class_of(self) -> dict[str, str]:
        """Video -> its class."""
        return {video: name for name, videos in self.videos.items() for video in videos}

    def named(self, name: str) -> VideoList:
        """Return one list.

        Raises
        ------
        NotFoundError
            There is none of that name.
        """
        if name not in self.lists:
            raise NotFoundError(f"{self.dataset} has no list {name!r}.{suggest(name, self.lists)}")
        record = self.lists[name]
        on: dict[str, list[str]] = {"0": [], "1": [], "2": []}
        for video, side in zip(self.ids, record.sides, strict=True):
            on[side].append(video)
        test = self.named(record.test_of).test if record.test_of else tuple(on["2"])
        return VideoList(name, tuple(on["1"]), test, record.source)


def read_lists(path: Path) -> VideoLists:
    """Return the lists of a file.

    Raises
    ------
    ZslbenchError
        The file cannot be read, or is no such file.
    """
    with reading(path, "copy or make it again"), gzip.open(path, "rt", encoding="utf-8") as stream:
        content = json.load(stream)
    try:
        lists = VideoLists.model_validate(content)
    except ValidationError as error:
        raise ZslbenchError(f"{path} is no file of lists: {problem(error, 'the file')}; make it again.") from None
    for name, record in lists.lists.items():
        if len(record.sides) != len(lists.ids) or set(record.sides) - set(CODED_SIDES):
            raise ZslbenchError(f"{path}: the list {name} has not one of 0, 1 and 2 per video; make it again.")
    return lists


def known_lists(dataset_name: str) -> VideoLists:
    """Return the lists of a dataset: those shipped with it, or those that the user has stored.

    Raises
    ------
    NotFoundError
        It has none.
    """
    return _read(*_stamped(dataset_name))


def _stamped(dataset_name: str) -> tuple[Path, int]:
    """Return the file of a dataset's lists and the time of its last change."""
    path = get_dataset(dataset_name).lists_file or lists_path(dataset_name)
    try:
        return path, path.stat().st_mtime_ns
    except OSError:
        raise NotFoundError(
            f"{dataset_name} has no lists of videos; read its files with 'zslbench datasets lists {dataset_name} DIR'."
        ) from None


@lru_cache(maxsize=8)
def _read(path: Path, stamp: int) -> VideoLists:
    return read_lists(path)


@lru_cache(maxsize=32)  # its digest takes a tenth of a second, and the draws of a family share their list
def _named(path: Path, stamp: int, name: str) -> VideoList:
    return _read(path, stamp).named(name)


def list_names(dataset_name: str) -> tuple[str, ...]:
    """Return the names of a dataset's lists; empty if it has none.

    >>> list_names("hmdb51")[:4]
    ('official-1', 'official-2', 'official-3', '2-shot-1')
    """
    try:
        return tuple(known_lists(dataset_name).lists)
    except NotFoundError:
        return ()


def video_list(dataset_name: str, name: str) -> VideoList:
    """Return a list of a dataset by its name, such as ``official-1``.

    Raises
    ------
    NotFoundError
        The dataset has no lists, or none of that name.
    """
    return _named(*_stamped(dataset_name), name)


def drawn(dataset_name: str, name: str) -> VideoList:
    """Return a published draw of a few training videos per class, with the test videos that belong to it.

    Parameters
    ----------
    name
        ``K-shot-1`` (K is 2, 4, 8 or 16), or ``base-to-novel-1`` to ``-3``: 16 videos of each base class; the test
        videos are of base and novel classes.

    Raises
    ------
    NotFoundError
        There is no such draw.

    Examples
    --------
    >>> len(drawn("ucf101", "16-shot-1").train), len(drawn("hmdb51", "base-to-novel-2").train)
    (1616, 416)
    """
    draws = [each for each in list_names(dataset_name) if "-shot-" in each or each.startswith("base-to-novel-")]
    if name not in draws:
        raise NotFoundError(f"{dataset_name} has no published draw {name!r}.{suggest(name, draws)}")
    return video_list(dataset_name, name)


def base_and_novel(dataset_name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the published base and novel classes, each in the dataset's order.

    Raises
    ------
    NotFoundError
        None are published for this dataset.

    Examples
    --------
    >>> [len(classes) for classes in base_and_novel("ucf101")]
    [51, 50]
    """
    dataset = get_dataset(dataset_name)
    base = set(known_lists(dataset_name).base) if dataset.lists_file else set()
    if not base:
        raise NotFoundError(
            f"{dataset_name} has no published base and novel classes; use the seeded family base-to-novel-16."
        )
    return tuple(c for c in dataset.classes if c in base), tuple(c for c in dataset.classes if c not in base)


def draw(listed: VideoList, class_of: Mapping[str, str], shots: int, seed: int) -> VideoList:
    """Return the list with ``shots`` training videos per class, drawn by a seed; the test videos stay.

    The draw depends on the ids of a class, not on their order or on other classes. Draws of one seed are nested: those
    for 2 shots are among those for 4.

    Parameters
    ----------
    class_of
        Training video -> its class, in any spelling of the ids. Videos that it lacks are not drawn from.

    Raises
    ------
    ZslbenchError
        A class has fewer training videos, or no video has a class.

    Examples
    --------
    >>> listed = VideoList("official-1", train=("a", "b", "c", "d"), test=("e",))
    >>> draw(listed, {"a": "run", "b": "run", "c": "wave", "d": "wave"}, shots=1, seed=0).name
    'official-1/1-shot-seed-0'
    """
    if shots < 1:
        raise ZslbenchError(f"{shots} videos per class cannot be drawn; choose at least 1.")
    keyed = {video_key(video): name for video, name in class_of.items()}
    pools: dict[str, list[str]] = {}
    for video in listed.train:
        if name := keyed.get(video_key(video)):
            pools.setdefault(name, []).append(video)
    if not pools:
        raise ZslbenchError(f"no class of a training video of {listed.name} is known; give the dataset's video ids.")
    small = {name: len(videos) for name, videos in pools.items() if len(videos) < shots}
    if small:
        fewest = min(small, key=lambda name: (small[name], name))
        raise ZslbenchError(
            f"{shots} videos per class cannot be drawn: {len(small)} of {len(pools)} classes have fewer on the "
            f"training list {listed.name} ({fewest}: {small[fewest]}); choose at most {small[fewest]}."
        )
    chosen = tuple(video for name in sorted(pools) for video in _drawn(pools[name], shots, name, seed))
    return VideoList(f"{listed.name}/{shots}-shot-seed-{seed}", chosen, listed.test, f"drawn from {listed.name}")


def _drawn(videos: Sequence[str], shots: int, class_name: str, seed: int) -> list[str]:
    ordered = sorted(videos, key=video_key)
    # One generator per class, so that a class does not depend on which others are there.
    order = np.random.default_rng(derive_seed("shots", class_name, seed)).permutation(len(ordered))
    return [ordered[i] for i in order[:shots]]
