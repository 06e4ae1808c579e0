"""Split families that train on the classes of one dataset and test all classes of another.

``k400->ucf101`` trains on all of Kinetics-400. ``k700-e2e->ucf101`` leaves out the training classes that the rule
``e2e`` finds near UCF101 or HMDB51, as Brattoli et al. (CVPR 2020) do. ``/lists`` tests the official test lists one by
one, and ``/halves`` ten random halves of the classes. ``-no-overlap`` leaves out test classes that have the name of a
training class.
"""

from __future__ import annotations

import re
from functools import cache

from zslbench.datasets.catalog import dataset_names, get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import get_label_set
from zslbench.datasets.splits import Split, SplitFamily, VideoChoice
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.families.listed import OFFICIAL, listed_family
from zslbench.overlap.filters import filter_classes
from zslbench.overlap.matches import Match, overlapping

SHORT = {"k400": "kinetics400", "k600": "kinetics600", "k700": "kinetics700"}
LISTS, NO_OVERLAP, E2E = "/lists", "-no-overlap", "-e2e"
HALVES = {False: "bike-half", True: "e2e-half"}  # whether the rule e2e is used -> the family whose halves are tested
ZSAR = "kinetics-zsar"  # k400->k600: the classes of Kinetics-600 that Kinetics-400 lacks
E2E_TESTS = ("ucf101", "hmdb51")  # the training classes near one of these are left out, for either test
_CROSS = re.compile(
    r"(?P<train>[^>/]+?)(?P<e2e>-e2e)?->(?P<test>[^>/]+?)(?P<part>/lists|/halves)?(?P<apart>-no-overlap)?"
)


def short_name(dataset: str) -> str:
    """Return the customary short name of a dataset, as in ``k400->ucf101``."""
    return next((short for short, name in SHORT.items() if name == dataset), dataset)


def cross_name(train: str, test: str, *, lists: bool = False, without_overlap: bool = False) -> str:
    """Return the name of the family that trains on one dataset and tests another.

    Parameters
    ----------
    train
        A dataset, or ``kinetics700-e2e`` for its classes that the rule ``e2e`` keeps.

    Examples
    --------
    >>> cross_name("kinetics400", "ucf101", lists=True)
    'k400->ucf101/lists'
    """
    rule = E2E if train.endswith(E2E) else ""
    name = f"{short_name(train.removesuffix(E2E))}{rule}->{short_name(test)}"
    return name + (LISTS if lists else "") + (NO_OVERLAP if without_overlap else "")


def is_cross(name: str) -> bool:
    """Return whether a family's name has the form of those across datasets."""
    return "->" in name


def cross_family(dataset: Dataset, name: str, classes: tuple[str, ...]) -> SplitFamily:
    """Return the family of a name such as ``k400->ucf101``.

    Parameters
    ----------
    dataset
        The dataset that is tested.
    classes
        The classes of its feature set.

    Raises
    ------
    NotFoundError
        The name has another form, or names no dataset.
    ZslbenchError
        It tests another dataset, or leaves no class.
    """
    parts = _CROSS.fullmatch(name)
    if parts is None:
        raise NotFoundError(f"{name!r} is no family across datasets; write k400->ucf101, for example.")
    test = SHORT.get(parts["test"], parts["test"])
    if test != dataset.name:
        raise ZslbenchError(f"{name} tests {test}, not {dataset.name}; give --dataset {test}, or another --family.")
    trained = SHORT.get(parts["train"], parts["train"])
    if trained not in dataset_names():
        known = [*SHORT, *dataset_names()]
        raise NotFoundError(f"no dataset is called {parts['train']!r}, as {name} says.{suggest(parts['train'], known)}")
    if trained == test:
        raise ZslbenchError(f"{name} trains and tests on {test}; leave out --train, or choose another dataset.")
    if parts["apart"] is None and parts["part"] is None and (trained, test) == ("kinetics400", "kinetics600"):
        return dataset.family(ZSAR)
    seen = _kept(trained) if parts["e2e"] else get_dataset(trained).classes
    tested = tuple(classes)
    if parts["apart"]:
        shared = {match.class_name for match in shared_names(test, trained, frozenset(seen))}
        tested = tuple(each for each in tested if each not in shared)
        if not tested:
            raise ZslbenchError(f"{name} leaves no class to test: all have the name of a training class.")
    splits = tuple(
        Split(tuple(seen), classes, seen_dataset=trained, videos=videos)
        for classes, videos in _parts(dataset, tested, parts["part"], e2e=bool(parts["e2e"]))
    )
    rule = f" but those that the rule e2e finds near {' or '.join(E2E_TESTS)}" if parts["e2e"] else ""
    return SplitFamily(name, dataset.name, splits, f"made by zslbench: all classes of {trained}{rule}")


def _parts(
    dataset: Dataset, tested: tuple[str, ...], part: str | None, *, e2e: bool
) -> list[tuple[tuple[str, ...], VideoChoice | None]]:
    """Return the tested classes and videos of each split: all, the official lists, or random halves of the classes."""
    if part == LISTS:
        found = listed_family(dataset, OFFICIAL, tested)
        return [(tested, split.videos) for split in found.splits] if found else []
    if part is None:
        return [(tested, None)]
    halves = [tuple(each for each in split.unseen if each in tested) for split in dataset.family(HALVES[e2e]).splits]
    return [(half, None) for half in halves if half]


@cache
def _kept(trained: str) -> tuple[str, ...]:
    found = filter_classes("e2e", trained, E2E_TESTS)
    return found.as_seen("e2e")[0].splits[0].seen


@cache
def shared_names(tested: str, trained: str, seen: frozenset[str] | None = None) -> tuple[Match, ...]:
    """Return the classes of a tested dataset that have the name of a training class, the surest match first.

    Names are compared by their content words (:mod:`zslbench.overlap.matches`). Datasets that no label set describes
    share nothing that could be found.

    Examples
    --------
    >>> len(shared_names("ucf101", "kinetics400"))
    43
    """
    try:
        get_label_set(trained)
    except NotFoundError:
        return ()
    found = overlapping(tested, trained, get_dataset(tested).classes, seen)
    return tuple(match for match in found if match.same)


def shared_classes(family: SplitFamily) -> list[str]:
    """Return the tested classes that have the name of a training class of their split, the surest match first.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.families.catalog import find_family
    >>> len(shared_classes(find_family(get_dataset("ucf101"), "k400->ucf101/halves")))
    43
    """
    found: dict[str, None] = {}
    for split in family.splits:
        tested = set(split.unseen)
        matches = shared_names(family.dataset, split.seen_dataset or "", frozenset(split.seen))
        found |= {match.class_name: None for match in matches if match.class_name in tested}
    return list(found)
