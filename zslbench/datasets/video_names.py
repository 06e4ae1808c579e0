"""Tell a video's class by its id, where ids follow a dataset's lists or a known pattern."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_ids import video_key
from zslbench.datasets.video_lists import known_lists
from zslbench.errors import ZslbenchError

# Patterns of ids; what follows them, such as ".avi" or "_rgb", does not matter.
_UCF101 = re.compile(r"v_(?P<name>.+)_g(?P<group>\d+)_c\d+", re.IGNORECASE)
_HMDB51 = re.compile(r"(?P<name>.+)_[fulh]_(cm|nm)_np\d+_(ba|fr|le|ri)_(bad|med|goo)_\d+", re.IGNORECASE)
_KINETICS = re.compile(r"(?P<group>[\w-]{11})_\d{6}_\d{6}(?!\d)")


class Misnamed(NamedTuple):
    """A video whose id names another class than its own.

    Attributes
    ----------
    place
        Index of the video.
    given, named
        Its class, and the class that its id names.

    Examples
    --------
    >>> Misnamed(0, "v_HammerThrow_g01_c01", "Hammering", "HammerThrow").text
    'v_HammerThrow_g01_c01 is in Hammering, but its id names HammerThrow'
    """

    place: int
    video: str
    given: str
    named: str

    @property
    def text(self) -> str:
        """What is wrong, without a full stop."""
        return f"{self.video} is in {self.given}, but its id names {self.named}"


def misnamed(dataset: Dataset, videos: Sequence[str], classes: Sequence[str]) -> Iterator[Misnamed]:
    """Yield the videos whose ids name another class of the dataset than ``classes`` gives them.

    An id names the class that the dataset's lists have for it, or else the class in ``v_CLASS_g01_c01`` (UCF101),
    ``..._CLASS_f_cm_np1_fr_med_0`` (HMDB51) or ``CLASS/video``. Other ids name none.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> [found.named for found in misnamed(get_dataset("ucf101"), ["v_YoYo_g99_c01", "x"], ["Archery", "Archery"])]
    ['YoYo']
    """
    named_by = named_class(dataset)
    for place, (video, given) in enumerate(zip(videos, classes, strict=True)):
        named = named_by(video)
        if named and named != given:
            yield Misnamed(place, video, given, named)


def named_class(dataset: Dataset) -> Callable[[str], str | None]:
    """Return the function from a video's id or path to the class that it names, as :func:`misnamed` reads it.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> named_class(get_dataset("ucf101"))("v_YoYo_g01_c01.avi")
    'YoYo'
    """
    listed: dict[str, str] = {}
    with contextlib.suppress(ZslbenchError):  # the dataset has no lists
        listed = {video_key(video): name for video, name in known_lists(dataset.name).class_of.items()}
    return lambda video: listed.get(video_key(video)) or _named(dataset, video)


def read_id(dataset: Dataset, video: str) -> tuple[str | None, str]:
    """Return the class and the source group that the pattern of an id names.

    Parameters
    ----------
    video
        An id, perhaps with folders before it and a suffix.

    Returns
    -------
    tuple
        A class of the dataset, or ``None``; and the source group, empty if there is none. It is the number in ``g01``
        (UCF101), the title of the film (HMDB51), or the video of a Kinetics clip.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> read_id(get_dataset("ucf101"), "v_YoYo_g01_c01")
    ('YoYo', '01')
    >>> read_id(get_dataset("hmdb51"), "Fellowship_5_hit_f_cm_np1_ba_med_1")
    ('hit', 'Fellowship_5')
    """
    name = video.rpartition("/")[2]
    if match := _UCF101.match(name):
        return dataset.find_class(match["name"]), match["group"]
    if match := _HMDB51.match(name):
        words = match["name"].split("_")
        # "Fellowship_5_hit" may also end in a class of several words: the longest one counts.
        for i in range(len(words)):
            # A number is of the title, although "5 hit" is a spelling of a class.
            if not words[i].isdecimal() and (found := dataset.find_class("_".join(words[i:]))):
                return found, "_".join(words[:i])
        return None, ""
    match = _KINETICS.match(name)
    return None, match["group"] if match else ""


def without_ending(dataset: Dataset, video: str) -> str:
    """Return an id of UCF101 or HMDB51 without what a program appended to it; other ids as they are.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> without_ending(get_dataset("ucf101"), "v_YoYo_g01_c01_x264")
    'v_YoYo_g01_c01'
    """
    match = _UCF101.match(video) or _HMDB51.match(video)
    whole = match is not None and video[match.end() :][:1] in ("_", ".", "-") and read_id(dataset, video)[0] is not None
    return match[0] if match is not None and whole else video


def _named(dataset: Dataset, video: str) -> str | None:
    if _UCF101.match(name := video.rpartition("/")[2]) or _HMDB51.match(name):
        return read_id(dataset, video)[0]
    folder = video.rpartition("/")[0].rpartition("/")[2]
    return dataset.find_class(folder) if folder else None


def too_many(dataset: Dataset, counts: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return class -> (videos, videos that the dataset has), where there are more; the largest surplus first.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> too_many(get_dataset("ucf101"), {"Archery": 145, "Hammering": 150})
    {'Hammering': (150, 140)}
    """
    expected = dataset.videos_per_class or {}
    more = {name: (n, expected[name]) for name, n in counts.items() if n > expected.get(name, n)}
    return dict(sorted(more.items(), key=lambda item: item[1][1] - item[1][0]))
