"""Split families whose videos are chosen by lists: official lists, few-shot draws, base and novel classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import ALL_VIDEOS, Split, SplitFamily, VideoChoice
from zslbench.datasets.video_lists import base_and_novel, list_names, video_list
from zslbench.errors import NotFoundError, ZslbenchError

ALL_CLASSES = "all-classes"
OFFICIAL, SUPERVISED, BASE_TO_NOVEL = "official-lists", "supervised-lists", "base-to-novel"
DRAWS = 10  # seeded draws of a few-shot family
NOVEL_DRAWS = 3  # seeded draws of base-to-novel, as many as the published ones
CUSTOMARY_SHOTS = 16
_SHOTS = re.compile(r"(?P<shots>[1-9]\d{0,3})-shot(?P<kind>-published|-lists)?")
_NOVEL = re.compile(r"base-to-novel(-(?P<shots>[1-9]\d{0,3}))?")


def listed_names(dataset: Dataset) -> list[str]:
    """Return the names of the families that a dataset's lists of videos make; of those with K, the customary ones.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> listed_names(get_dataset("ucf101"))[:3]
    ['all-classes', 'official-lists', 'supervised-lists']
    """
    known = list_names(dataset.name)
    if not known:
        return [ALL_CLASSES]
    published = [f"{name.removesuffix('-1')}-published" for name in known if re.fullmatch(r"\d+-shot-1", name)]
    novel = BASE_TO_NOVEL if f"{BASE_TO_NOVEL}-1" in known else f"{BASE_TO_NOVEL}-{CUSTOMARY_SHOTS}"
    drawn = [f"{shots}-shot{kind}" for kind in ("", "-lists") for shots in (2, 4, 8, CUSTOMARY_SHOTS)]
    return [ALL_CLASSES, OFFICIAL, SUPERVISED, novel, *published, *drawn]


def listed_family(dataset: Dataset, name: str, classes: Sequence[str]) -> SplitFamily | None:
    """Return the family of a name, or ``None`` if the name is not of this kind.

    Parameters
    ----------
    classes
        The classes of the feature set, in the dataset's order.

    Raises
    ------
    ZslbenchError
        The dataset lacks what the family needs.
    """
    every = tuple(classes)
    if name == ALL_CLASSES:
        split = Split((), every, videos=VideoChoice(ALL_VIDEOS))
        return _family(name, dataset, [split], "all videos of all classes; nothing is trained")
    if name == OFFICIAL:
        splits = [Split((), every, videos=choice) for choice in _official(dataset)]
        return _family(name, dataset, splits, "the official test lists; all classes are tested")
    if name == SUPERVISED:
        splits = [Split(every, (), videos=choice) for choice in _official(dataset)]
        return _family(name, dataset, splits, "the official training and test lists")
    if found := _SHOTS.fullmatch(name):
        return _few_shot(dataset, name, every, int(found["shots"]), found["kind"] or "")
    if found := _NOVEL.fullmatch(name):
        return _base_to_novel(dataset, name, every, int(found["shots"] or 0))
    return None


def _family(name: str, dataset: Dataset, splits: Iterable[Split], source: str) -> SplitFamily:
    return SplitFamily(name, dataset.name, tuple(splits), source)


def choice_of(dataset: Dataset, name: str, shots: int = 0, draw: int = 0) -> VideoChoice:
    """Return the choice of a list's videos, with the list's digest if it is known without a feature set."""
    known = name in list_names(dataset.name)
    return VideoChoice(name, shots, draw, video_list(dataset.name, name).digest if known else "")


def _official(dataset: Dataset) -> list[VideoChoice]:
    """Return the choices of all official lists; without any, of the list that a feature set's column may be."""
    names = [name for name in list_names(dataset.name) if re.fullmatch(r"official-\d+", name)]
    return [choice_of(dataset, name) for name in names or ["official-1"]]


def _few_shot(dataset: Dataset, name: str, every: tuple[str, ...], shots: int, kind: str) -> SplitFamily:
    if kind == "-published":
        listed = f"{shots}-shot-1"
        if listed not in list_names(dataset.name):
            raise NotFoundError(f"{dataset.name} has no published draw of {shots} videos; use --family {shots}-shot.")
        source = video_list(dataset.name, listed).source
        return _family(name, dataset, [Split(every, (), videos=choice_of(dataset, listed))], source)
    official = _official(dataset)
    if kind == "-lists":
        choices = [choice_of(dataset, choice.list, shots) for choice in official]
    else:
        choices = [choice_of(dataset, official[0].list, shots, draw) for draw in range(DRAWS)]
    return _family(name, dataset, [Split(every, (), videos=choice) for choice in choices], "drawn from hashed seeds")


def _base_to_novel(dataset: Dataset, name: str, every: tuple[str, ...], shots: int) -> SplitFamily:
    try:
        base, novel = base_and_novel(dataset.name)
        source = "published base and novel classes"
    except NotFoundError as error:
        if not shots:
            raise NotFoundError(
                f"{dataset.name} has no published base and novel classes; use --family {name}-{CUSTOMARY_SHOTS}."
            ) from error
        base, novel = every[: (len(every) + 1) // 2], every[(len(every) + 1) // 2 :]
        source = "the first and the second half of the classes in the dataset's order"
    if missing := sorted({*base, *novel} - set(every)):
        base, novel = (tuple(each for each in side if each in every) for side in (base, novel))
        source += f", without {len(missing)} that the features lack"
    if min(len(base), len(novel)) < 2:
        raise ZslbenchError(f"{name} needs two base and two novel classes; use features of more classes.")
    if shots:
        choices = [choice_of(dataset, _official(dataset)[0].list, shots, draw) for draw in range(NOVEL_DRAWS)]
        drawn = f"{shots} videos per base class drawn from hashed seeds"
    else:
        names = [each for each in list_names(dataset.name) if re.fullmatch(rf"{BASE_TO_NOVEL}-\d+", each)]
        if not names:
            raise NotFoundError(
                f"{dataset.name} has no published lists of base-to-novel; use --family {name}-{CUSTOMARY_SHOTS}."
            )
        choices = [choice_of(dataset, each) for each in names]
        drawn = "published draws"
    return _family(name, dataset, [Split(base, novel, videos=choice) for choice in choices], f"{source}; {drawn}")
