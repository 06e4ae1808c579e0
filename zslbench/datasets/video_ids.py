"""Ids of videos, their spellings, and one list of those that train and are tested."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from zslbench.digests import digest
from zslbench.errors import ZslbenchError, some

_SUFFIX = re.compile(r"\.(avi|flv|m4v|mkv|mov|mp4|mpe?g|npy|webm|wmv)$", re.IGNORECASE)
_TIMES = re.compile(r"_\d{6}_\d{6}$")  # of a Kinetics clip: begin and end in seconds
CODED_SIDES = {"0": "", "1": "train", "2": "test"}  # as files of lists write them


def video_key(video: str) -> str:
    """Return what spellings of one video's id share: no folder, suffix or times of a Kinetics clip, and no case.

    UCF101's class ``HandstandPushups`` has videos called ``v_HandStandPushups_g01_c01.avi``, and copies of the dataset
    differ in such letters.

    >>> video_key("HandstandPushups/v_HandStandPushups_g01_c01.avi")
    'v_handstandpushups_g01_c01'
    >>> video_key("val/0wR5jVB-WPk_000417_000427.mp4")
    '0wr5jvb-wpk'
    """
    return _TIMES.sub("", without_suffix(video.rpartition("/")[2])).casefold()


def without_suffix(path: str) -> str:
    """Return a path without the suffix of a video's file; other dots stay.

    >>> without_suffix("Archery/v_Archery_g01_c01.avi"), without_suffix("take 1.5")
    ('Archery/v_Archery_g01_c01', 'take 1.5')
    """
    return _SUFFIX.sub("", path)


@dataclass(frozen=True)
class VideoList:
    """The training and test videos of one list.

    Attributes
    ----------
    train, test
        Sorted video ids, without folder and suffix; no video is in both.
    source
        Where the list comes from.
    class_of
        Video -> its class, for lists that know it.

    Examples
    --------
    >>> listed = VideoList("official-1", train=("v_Archery_g08_c01",), test=("v_Archery_g01_c01",))
    >>> listed.sides(["v_Archery_g01_c01", "v_Archery_g08_c01.avi", "other"])
    ['test', 'train', '']
    """

    name: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    source: str = ""
    class_of: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for side in ("train", "test"):
            object.__setattr__(self, side, tuple(sorted(getattr(self, side))))  # the class is frozen
        if len(self._side_of) < len(self.train) + len(self.test):
            count = Counter(map(video_key, (*self.train, *self.test)))
            twice = sorted(key for key, n in count.items() if n > 1)
            raise ZslbenchError(f"the list {self.name} has {some(twice, 3)} twice; keep each video on one side.")

    @cached_property
    def digest(self) -> str:
        """Digest of the ids on each side, in no order; spellings of one id are the same."""
        return digest({side: sorted(map(video_key, getattr(self, side))) for side in ("train", "test")})

    @cached_property
    def _side_of(self) -> dict[str, str]:
        return {video_key(video): side for side in ("train", "test") for video in getattr(self, side)}

    def sides(self, videos: Iterable[str]) -> list[str]:
        """Return ``train``, ``test`` or ``""`` (in neither) for each video."""
        return [self._side_of.get(video_key(video), "") for video in videos]

    def missing(self, videos: Iterable[str]) -> VideoList:
        """Return the part of the list that ``videos`` lack."""
        there = set(map(video_key, videos))
        train, test = (tuple(v for v in side if video_key(v) not in there) for side in (self.train, self.test))
        return VideoList(self.name, train, test, self.source)
