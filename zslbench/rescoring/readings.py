"""Name the ways to read scores: which classes are on offer, and which videos count.

``all`` offers all classes, and the name of a split family the unseen classes of each of its splits. ``@official-1``
keeps the videos of that test list: ``all@official-1``, ``xu-50/50@official-1``. ``@official-lists`` reads each official
test list by itself. A list without a family is of all classes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import RANDOM_FAMILIES
from zslbench.datasets.video_ids import VideoList, video_key
from zslbench.datasets.video_lists import known_lists, list_names, video_list
from zslbench.errors import NotFoundError, suggest
from zslbench.features.feature_set import FeatureSet
from zslbench.features.video_lists import features_list, lists_of

_ALL, _OFFICIAL, _LISTS = "all", "official-", "official-lists"
_SOUND = "sound"  # a family that its source tests on the first list


@dataclass(frozen=True)
class LabelSpace:
    """The classes on offer, and the list whose test videos count; without a list all videos of the classes.

    Attributes
    ----------
    classes
        Sorted names.
    listed, tested
        Name of the list, and the keys of its test videos of these classes (:func:`video_key`).

    Examples
    --------
    >>> LabelSpace(("run", "wave")).tested is None
    True
    """

    classes: tuple[str, ...]
    listed: str = ""
    tested: frozenset[str] | None = None


@dataclass(frozen=True)
class Reading:
    """A named, ordered set of label spaces, such as the halves of ``xu-50/50``.

    Attributes
    ----------
    name
        As on the command line.
    spaces
        The distinct ones; the figures are their means.
    n_all
        Their number, repeated ones included.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> halves = find_reading(get_dataset("ucf101"), "xu-50/50@official-1", None, OfficialLists("ucf101"))
    >>> len(halves.spaces), halves.n_all, len(halves.spaces[0].classes)
    (47, 50, 50)
    """

    name: str
    spaces: tuple[LabelSpace, ...]
    n_all: int


class OfficialLists:
    """The official test lists of a dataset, or of the official columns of a feature set; each is read once.

    Parameters
    ----------
    features
        The feature set of the scores, if it is on this machine.

    Attributes
    ----------
    names
        Their names; empty if there are none.

    Examples
    --------
    >>> lists = OfficialLists("ucf101")
    >>> lists.names, len(lists.tested("official-1")["Archery"])
    (('official-1', 'official-2', 'official-3'), 41)
    """

    def __init__(self, dataset_name: str, features: FeatureSet | None = None) -> None:
        self._dataset, self._features = dataset_name, features
        own = [listed.name for listed in lists_of(features)] if features else []
        names = dict.fromkeys([*list_names(dataset_name), *own])
        self.names = tuple(name for name in names if name.startswith(_OFFICIAL))
        self._tested: dict[str, dict[str, set[str]]] = {}

    def tested(self, name: str) -> dict[str, set[str]]:
        """Return class -> keys of its videos on a test list.

        Raises
        ------
        NotFoundError
            There is no such list.
        """
        if name not in self._tested:
            listed, videos = self._list(name)
            test = set(map(video_key, listed.test))
            self._tested[name] = {c: test.intersection(map(video_key, own)) for c, own in videos.items()}
        return self._tested[name]

    def _list(self, name: str) -> tuple[VideoList, Mapping[str, Sequence[str]]]:
        """Return a list and the videos of each class: the published ones, or those of the feature set's own column."""
        published = video_list(self._dataset, name) if name in list_names(self._dataset) else None
        if self._features is not None:
            with contextlib.suppress(NotFoundError):
                if (own := features_list(self._features, name)) != published:
                    videos: dict[str, list[str]] = {}
                    for video, label in zip(self._features.ids, self._features.labels.tolist(), strict=True):
                        videos.setdefault(self._features.dataset.classes[label], []).append(video)
                    return own, videos
        if published is None:
            raise NotFoundError(f"{self._dataset} has no list {name!r}.{suggest(name, self.names)}")
        return published, known_lists(self._dataset).videos

    def around(self, keys: Set[str]) -> frozenset[str]:
        """Return the lists that test all of these videos, by their keys: a cell may have been run on such a list."""
        return frozenset(name for name in self.names if keys <= frozenset().union(*self.tested(name).values()))


def find_reading(dataset: Dataset, name: str, covered: Sequence[str] | None, lists: OfficialLists) -> Reading:
    """Return the reading of a name.

    Parameters
    ----------
    covered
        The classes of the feature set, which ``all`` offers and random families divide; ``None`` for all of the
        dataset.

    Raises
    ------
    NotFoundError
        There is no such split family, or no such list.
    """
    first, _, listed = name.partition("@")
    if not listed and first.startswith(_OFFICIAL):
        first, listed = _ALL, first
    if first != _ALL and first not in dataset.family_names:
        known = [_ALL, *dataset.family_names, *_all_lists(lists)]
        raise NotFoundError(f"{dataset.name} cannot be read as {name!r}.{suggest(name, known)}")
    names = tuple(sorted(covered or dataset.classes))
    offered = [names] if first == _ALL else [each.unseen for each in dataset.family(first, names).splits]
    chosen = lists.names if lists.names and listed == _LISTS else (listed,)
    spaces = {(classes, each): _space(classes, each, lists) for classes in offered for each in chosen}
    return Reading(name, tuple(spaces.values()), len(offered) * len(chosen))


def _space(classes: tuple[str, ...], listed: str, lists: OfficialLists) -> LabelSpace:
    if not listed:
        return LabelSpace(classes)
    tested = lists.tested(listed)
    return LabelSpace(classes, listed, frozenset().union(*(tested.get(name, ()) for name in classes)))


def _all_lists(lists: OfficialLists) -> list[str]:
    """Return the names of the official lists, and the name of all together; empty if there are none."""
    return [*lists.names, _LISTS] if lists.names else []


def usual_readings(dataset: Dataset, lists: OfficialLists) -> list[str]:
    """Return what is read if nobody says what: all classes, the official test lists, and each family."""
    halves = (name for name in RANDOM_FAMILIES if name.endswith("50/50") and name in dataset.family_names)
    first = lists.names[0] if lists.names else ""
    families = [f"{name}@{first}" if first and name == _SOUND else name for name in dataset.stored_families]
    return [_ALL, *_all_lists(lists), *families, *halves]


def split_names(texts: Iterable[str]) -> list[str]:
    """Return the names of an option that is repeated, or names several with commas; each once.

    >>> split_names(["all,xu-50/50", "all"])
    ['all', 'xu-50/50']
    """
    return list(dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip()))
