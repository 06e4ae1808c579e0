"""Choose the videos of a split: which train, and which are tested."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import ALL_VIDEOS, Split, VideoChoice
from zslbench.datasets.video_lists import draw, known_lists
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError, some
from zslbench.features.feature_set import FeatureSet
from zslbench.features.video_lists import features_list
from zslbench.protocols.protocol import PROTOCOLS, Protocol
from zslbench.videos import IntArray

HELD_OUT = 0.2  # share of each seen class's videos that GZSL tests on, if there is no official list


class SplitVideos(NamedTuple):
    """The training and test videos of a split, as rows of the feature sets.

    Attributes
    ----------
    train_rows, train_labels
        Rows of the seen classes' feature set, and indices into the seen classes.
    seen_rows, seen_labels
        Tested rows of the same set and their seen classes; empty unless the protocol tests seen classes.
    unseen_rows, unseen_labels
        Tested rows of the dataset's own feature set, and indices into the unseen classes.
    rule
        How the tested videos of seen classes were chosen; empty if there are none.

    Examples
    --------
    >>> none = np.zeros(0, dtype=np.int64)
    >>> SplitVideos(np.array([0, 1]), np.array([0, 0]), none, none, np.array([2]), np.array([0]), "").rule
    ''
    """

    train_rows: IntArray
    train_labels: IntArray
    seen_rows: IntArray
    seen_labels: IntArray
    unseen_rows: IntArray
    unseen_labels: IntArray
    rule: str


def split_videos(
    split: Split, protocol: Protocol, features: FeatureSet, trained_on: FeatureSet | None, held_out: str = ""
) -> SplitVideos:
    """Return the videos of a split.

    Parameters
    ----------
    features, trained_on
        The feature sets of the tested dataset, and of the seen classes. ``None``: no video trains.
    held_out
        The list whose test videos gzsl holds out of the seen classes; empty for :func:`held_out_videos`.

    Raises
    ------
    ZslbenchError
        The feature set has no list of the split's name, or no video of a tested class is on it.
    """
    rules = PROTOCOLS[protocol]
    listed = list_sides(features, split.videos) if split.videos else None
    rows, labels = class_rows(features, split.unseen)
    if listed is not None:
        on_list = listed[rows] == "test"
        rows, labels = rows[on_list], labels[on_list]
        _check_tested(split.unseen, labels, features, split.videos)
    none = np.zeros(0, dtype=np.int64)
    if trained_on is None:
        return SplitVideos(none, none, none, none, rows, labels, "")
    train, of = class_rows(trained_on, split.seen)
    if listed is None or split.seen_dataset:
        kept, apart, rule = np.ones(len(train), dtype=bool), np.zeros(len(train), dtype=bool), ""
        if rules.tests_seen:
            kept, apart, rule = _sides(trained_on, train, of, held_out)
        return SplitVideos(train[kept], of[kept], train[apart], of[apart], rows, labels, rule)
    sides = listed[train]
    trains, tested = sides == "train", sides == "test"
    if not rules.tests_seen:
        return SplitVideos(train[trains], of[trains], none, none, rows, labels, "")
    _check_tested(split.seen, of[tested], features, split.videos)
    rule = split.videos.text if split.videos else ""
    return SplitVideos(train[trains], of[trains], train[tested], of[tested], rows, labels, rule)


def _sides(
    features: FeatureSet, rows: IntArray, labels: IntArray, held_out: str
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], str]:
    """Return which videos of seen classes train in GZSL, which are tested, and by which rule."""
    if held_out:
        on = list_sides(features, VideoChoice(held_out))[rows]
        return on == "train", on == "test", f"{held_out} of {features.dataset.name}"
    apart, rule = held_out_videos(features, rows, labels)
    return ~apart, apart, rule


def check_held_out(features: FeatureSet, names: tuple[str, ...], held_out: str, *, trains: bool) -> None:
    """Refuse seen classes that GZSL would leave out of S and H: those without test, or without training videos.

    Parameters
    ----------
    names
        The seen classes of all splits that are to run.
    trains
        Whether something is fitted, so that each class needs training videos.

    Raises
    ------
    ZslbenchError
        There are such classes; the message names them.
    """
    rows, labels = class_rows(features, names)
    kept, apart, rule = _sides(features, rows, labels, held_out)
    listed = held_out or features.has_official_lists
    whole = "; or leave out the column 'official': then a fifth of each class is held out" if listed else ""
    remedy = f"import features of all videos of these classes{whole}" if listed else (
        "import videos of more source groups of these classes, or the official lists"
    )  # fmt: skip
    if trains:
        _check_side(features, "training", names, labels[kept], f"gzsl ({rule})", remedy)
    _check_side(features, "test", names, labels[apart], f"gzsl ({rule})", remedy)


def check_listed(split: Split, chosen: SplitVideos, trained_on: FeatureSet) -> None:
    """Refuse a split by lists of videos that has no training video of a seen class.

    Raises
    ------
    ZslbenchError
        There are such classes; the message names them.
    """
    of = split.videos.text if split.videos else "the split"
    remedy = "import features of all videos of the list"
    _check_side(trained_on, "training", split.seen, chosen.train_labels, of, remedy)


def _check_side(
    features: FeatureSet, side: str, names: tuple[str, ...], labels: IntArray, of: str, remedy: str
) -> None:  # fmt: skip
    there = set(labels.tolist())
    if lacking := [name for i, name in enumerate(names) if i not in there]:
        among = f"any of {len(names)}" if len(lacking) == len(names) else f"{len(lacking)} of {len(names)}"
        raise ZslbenchError(
            f"{features.title} has no {side} videos of {among} seen classes ({some(lacking, 4)}) for {of}; {remedy}."
        )


def tested_names(split: Split, protocol: Protocol, seen: Sequence[str]) -> tuple[str, ...]:
    """Return the seen classes' names as a cell has them: ``archery (kinetics400)`` if two datasets' are offered."""
    mark = f" ({split.seen_dataset})" if split.seen_dataset and PROTOCOLS[protocol].tests_seen else ""
    return tuple(f"{name}{mark}" for name in seen)


def tested_ids(split: Split, chosen: SplitVideos, features: FeatureSet, trained_on: FeatureSet) -> list[str]:
    """Return the ids of the tested videos, seen ones first; those of another dataset begin with its name."""
    mark = f"{split.seen_dataset}/" if split.seen_dataset else ""
    return [
        *(f"{mark}{trained_on.ids[i]}" for i in chosen.seen_rows),
        *(features.ids[i] for i in chosen.unseen_rows),
    ]


def training_videos(split: Split, chosen: SplitVideos, trained_on: FeatureSet) -> tuple[tuple[str, str], ...]:
    """Return the sorted ids of the training videos with their classes, if a list or a draw chose them.

    Otherwise all videos of the seen classes train, less those that gzsl holds out, and nothing is returned.
    """
    if split.videos is None or split.seen_dataset:
        return ()
    pairs = zip(chosen.train_rows.tolist(), chosen.train_labels.tolist(), strict=True)
    return tuple(sorted((trained_on.ids[row], split.seen[label]) for row, label in pairs))


def _check_tested(names: tuple[str, ...], labels: IntArray, features: FeatureSet, choice: VideoChoice | None) -> None:
    """Refuse classes that no video would be tested of: their accuracy is not defined."""
    if (missing := [name for i, name in enumerate(names) if i not in set(labels.tolist())]) and choice:
        raise ZslbenchError(
            f"{features.title} has no test video of {choice.text} in {len(missing)} classes ({some(missing, 4)}); "
            f"import features of all videos of the list."
        )


def expected_videos(dataset: Dataset, split: Split, *, simulated: bool) -> int | None:
    """Return how many test videos of the unseen classes, or else of the seen ones, the dataset has, if known.

    Simulated videos are on no published list.
    """
    names, choice = split.unseen or split.seen, split.videos
    if choice is None or choice.list == ALL_VIDEOS:
        per_class = dataset.videos_per_class or {}
        return sum(per_class[name] for name in names) if per_class.keys() >= set(names) else None
    if not choice.digest or simulated:
        return None
    if choice.own:
        return sum(choice.own.class_of[video] in names for video in choice.own.test)
    known, chosen = known_lists(dataset.name), set(names)
    return sum(known.class_of[video] in chosen for video in known.named(choice.list).test)


def list_sides(features: FeatureSet, choice: VideoChoice) -> NDArray[np.str_]:
    """Return ``train``, ``test`` or an empty text for each video of a feature set, (n,).

    Raises
    ------
    ZslbenchError
        There is no such list, or a class has too few videos to draw from.
    """
    if choice.list == ALL_VIDEOS:
        return np.full(len(features.ids), "test")
    found = choice.own or features_list(features, choice.list)
    if choice.own and not any(found.sides(features.ids)):
        title = f"{features.dataset.name}@{features.manifest.name}"
        raise ZslbenchError(
            f"none of the videos of {title} (such as {features.ids[0]}) is on the family's own list (such as "
            f"{found.test[0]}); import the features with the ids that the list has."
        )
    if choice.shots and "train" not in found.sides(features.ids):
        raise ZslbenchError(
            f"{features.title} has no training video of {choice.list} to draw from; import features of all videos of "
            "the list."
        )
    if choice.shots:
        names = features.dataset.classes
        class_of = {video: names[i] for video, i in zip(features.ids, features.labels.tolist(), strict=True)}
        found = draw(found, class_of, choice.shots, choice.draw)
    return np.array(found.sides(features.ids))


def class_rows(features: FeatureSet, names: tuple[str, ...]) -> tuple[IntArray, IntArray]:
    """Return the rows of the videos of the classes ``names``, and the indices of their classes in ``names``."""
    place = np.full(len(features.dataset.classes), -1, dtype=np.int64)
    place[[features.dataset.label_of[name] for name in names]] = np.arange(len(names))
    rows = np.flatnonzero(place[features.labels] >= 0)
    return rows, place[features.labels[rows]]


def held_out_videos(features: FeatureSet, rows: IntArray, labels: IntArray) -> tuple[NDArray[np.bool_], str]:
    """Return which seen-class videos GZSL tests on, and by which rule.

    They are the official test list if the feature set has one. Otherwise they are at least a fifth of each class's
    videos, in whole source groups if these are known. Videos cut from one source are near-copies of each other, so they
    must not be in both parts. The choice depends only on the names of classes and videos, never on the split.
    """
    if features.has_official_lists:
        return np.array([features.official[i] == "test" for i in rows], dtype=bool), "official test list"
    keys = hold_out_keys(features, rows, labels)
    return hold_out(labels, keys, features.dataset.name), "a fifth of each class, whole source groups where known"


def hold_out_keys(features: FeatureSet, rows: IntArray, labels: IntArray) -> list[str]:
    """Return one key per video, its class and source group, or its class and itself; equal keys are held out together.

    The name of a group is only valid within its class (UCF101 has ``g01`` in every class).
    """
    grouped = {label: all(features.groups[i] for i in rows[labels == label]) for label in np.unique(labels).tolist()}
    names = [features.dataset.classes[i] for i in features.labels[rows]]
    return [
        f"{name}/{features.groups[i] if grouped[label] else features.ids[i]}"
        for i, name, label in zip(rows, names, labels.tolist(), strict=True)
    ]


def hold_out(labels: IntArray, keys: list[str], *seed: str | int) -> NDArray[np.bool_]:
    """Hold out at least a fifth of each class's videos, by whole keys; a class with one key keeps it for training."""
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        sizes = Counter(keys[i] for i in members)
        taken: set[str] = set()
        # Never the last key, so that every class keeps videos for training.
        for key in sorted(sizes, key=lambda key: derive_seed("hold out", *seed, key))[:-1]:
            if sum(sizes[k] for k in taken) >= HELD_OUT * len(members):
                break
            taken.add(key)
        held_out[members] = [keys[i] in taken for i in members]
    return held_out
