"""The lists of videos of a feature set: published ones by id, or those of its own official columns."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from zslbench.datasets.video_ids import VideoList, video_key
from zslbench.datasets.video_lists import known_lists, list_names, video_list
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.features.feature_set import FeatureSet

_SIMULATED_LISTS = 3


def features_list(features: FeatureSet, name: str) -> VideoList:
    """Return a list by its name, such as ``official-1``, for a feature set.

    It is the dataset's list if that has one of the set's videos. Otherwise it is the official column of that number.
    Simulated videos are on no published list: each of their three lists tests a third of the source groups.

    Raises
    ------
    NotFoundError
        The dataset has no such list with any of these videos, and the set has no such column.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> features = simulate(get_dataset("hmdb51"), name="small", videos_per_class=6)
    >>> listed = features_list(features, "official-1")
    >>> len(listed.train), len(listed.test), listed.source
    (195, 111, 'a third of the source groups of simulated videos')
    """
    published = list_names(features.dataset.name)
    if name in published and any((listed := video_list(features.dataset.name, name)).sides(features.ids)):
        return listed
    own = _own_lists(features)
    if name in own:
        sides, source = own[name]
        train, test = ([v for v, at in zip(features.ids, sides, strict=True) if at == side] for side in _BOTH)
        return VideoList(name, tuple(train), tuple(test), source)
    for number, sides in features.official_columns.items():
        there = {*sides} & {*_BOTH}
        if name == f"official-{number}" and len(there) == 1 and not features.manifest.simulated:
            lacks = "training" if there == {"test"} else "test"
            raise NotFoundError(
                f"{features.title} has no {lacks} videos in its official column {number}; import features of the "
                f"{lacks} videos too."
            )
    if name in published:
        raise NotFoundError(
            f"none of the videos of {features.title} (such as {features.ids[0]}) is on the list {name} of "
            f"{features.dataset.name}; import the features with the dataset's video ids, or with a column 'official'."
        )
    raise NotFoundError(
        f"{features.title} has no list {name!r}; import the features with a column 'official' (train, test), or store "
        f"lists with 'zslbench datasets lists {features.dataset.name} DIR'.{suggest(name, own) if own else ''}"
    )


def held_out_list(features: FeatureSet) -> VideoList | None:
    """Return the first official list of the dataset if its test videos are those that gzsl holds out.

    That is so if the dataset's lists know every video of the set, and each class has videos on both sides. A set with
    an official column of its own does not need it.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> held_out_list(simulate(get_dataset("hmdb51"), name="small", videos_per_class=6)) is None
    True
    """
    if features.has_official_lists or _FIRST not in list_names(features.dataset.name):
        return None
    listed = video_list(features.dataset.name, _FIRST)
    train, test = (
        {label for label, of in zip(features.labels.tolist(), listed.sides(features.ids), strict=True) if of == side}
        for side in _BOTH
    )
    known = train & test == set(features.labels.tolist()) and not list_coverage(features, listed).extra
    return listed if known else None


_FIRST = "official-1"
_BOTH = ("train", "test")


def lists_of(features: FeatureSet) -> list[VideoList]:
    """Return all lists that :func:`features_list` finds for a feature set.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> features = simulate(get_dataset("hmdb51"), name="small", videos_per_class=6)
    >>> [listed.name for listed in lists_of(features)]
    ['official-1', 'official-2', 'official-3']
    """
    found = []
    for name in dict.fromkeys([*list_names(features.dataset.name), *_own_lists(features)]):
        with contextlib.suppress(NotFoundError):
            found.append(features_list(features, name))
    return found


def _own_lists(features: FeatureSet) -> dict[str, tuple[list[str], str]]:
    """Return name -> the side of each video, and where it comes from."""
    if features.manifest.simulated:
        return {
            f"official-{i + 1}": (_thirds(features, i), "a third of the source groups of simulated videos")
            for i in range(_SIMULATED_LISTS)
        }
    return {
        f"official-{number}": (sides, f"official column {number} of {features.title}")
        for number, sides in features.official_columns.items()
        if {*_BOTH} <= {*sides}
    }


def _thirds(features: FeatureSet, number: int) -> list[str]:
    groups: dict[int, dict[str, int]] = {}
    sides = []
    for label, group in zip(features.labels.tolist(), features.groups, strict=True):
        of_class = groups.setdefault(label, {})
        place = of_class.setdefault(group, len(of_class))
        sides.append("test" if place % _SIMULATED_LISTS == number else "train")
    return sides


@dataclass(frozen=True)
class ListCoverage:
    """How many videos of a list a feature set lacks, and how many of its videos are on no list.

    Attributes
    ----------
    test, missing_train, missing_test
        Test videos of the list, and videos of each side that the set lacks.
    extra
        Videos of the set that none of the dataset's lists knows, not even as left out.

    Examples
    --------
    >>> ListCoverage("validation", test=200, missing_train=0, missing_test=10, extra=3).bounds(0.8)
    (0.76, 0.81)
    """

    name: str
    test: int
    missing_train: int
    missing_test: int
    extra: int

    @property
    def change(self) -> float:
        """Share of the test list that is missing: no accuracy per video can differ more from that of the whole list."""
        return self.missing_test / self.test if self.test else 0.0

    def bounds(self, top1: float) -> tuple[float, float]:
        """Return the lowest and highest accuracy on the whole test list, given that on the videos that are there.

        All missing videos are wrong, or all are right.

        Raises
        ------
        ZslbenchError
            ``top1`` is no share.
        """
        if not 0 <= top1 <= 1:
            raise ZslbenchError(f"an accuracy of {top1:g} is no share; give a number from 0 to 1.")
        right = top1 * (1 - self.change)
        return right, right + self.change


def list_coverage(features: FeatureSet, listed: VideoList) -> ListCoverage:
    """Return how a feature set covers a list.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> features = simulate(get_dataset("hmdb51"), name="small", videos_per_class=6)
    >>> list_coverage(features, features_list(features, "official-1")).missing_test
    0
    """
    missing, known = listed.missing(features.ids), _known(features, listed)
    extra = sum(video_key(video) not in known for video in features.ids)
    return ListCoverage(listed.name, len(listed.test), len(missing.train), len(missing.test), extra)


def _known(features: FeatureSet, listed: VideoList) -> set[str]:
    """Return the keys of the videos that the list, or any list that is published with it, contains or leaves out."""
    published = listed.name in list_names(features.dataset.name)
    more = known_lists(features.dataset.name).ids if published else features.ids
    return set(map(video_key, (*listed.train, *listed.test, *more)))
