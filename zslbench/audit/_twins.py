"""Findings about copies of videos: unseen videos among the training videos, and one video under two class names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zslbench.audit.findings import Finding
from zslbench.features.feature_set import FeatureSet
from zslbench.features.twins import COPY, MOST_BY_CHANCE, NEAR_COPY, SAME_SHARE, Twins, across_classes, find_twins

Unseen = Mapping[str, frozenset[str]]  # digest of a split -> its unseen classes
Mask = NDArray[np.bool_]
_EXAMPLES = 8


@dataclass(frozen=True)
class _Videos:
    """The videos of one feature set, or of two, in the order of their twins."""

    twins: Twins
    ids: Sequence[str]
    classes: NDArray[np.str_]

    def lines(self, found: Mask, train: Mask | None = None) -> Iterator[str]:
        """Yield examples: a video, the one that is like it, and how like; ``None``: one of another class."""
        shown: set[frozenset[int]] = set()
        for i in np.flatnonzero(found)[: 2 * _EXAMPLES].tolist():
            j, cosine = self.twins.partner(i, self.classes != self.classes[i] if train is None else train)
            if frozenset((i, j)) not in shown and len(shown) < _EXAMPLES:
                shown.add(frozenset((i, j)))
                how = "same rows" if cosine is None else f"cosine {cosine:.4f}"
                yield f"{self.ids[i]} ({self.classes[i]}) and {self.ids[j]} ({self.classes[j]}): {how}"


def check_twins(
    features: FeatureSet, where: str, families: Mapping[str, Unseen], *, search_now: bool = True
) -> Iterator[Finding]:
    """Yield L7, W14 and W15 about the videos of one feature set.

    Parameters
    ----------
    where
        What a finding concerns.
    families
        Split family -> unseen classes of each split. All other classes count as seen.
    search_now
        Whether to search if no search of these features is stored.
    """
    if features.manifest.simulated or len(features.ids) < 2:
        return
    features, kept = _stored(features)
    if (twins := find_twins(features, search_now=search_now)) is None:
        return
    videos = _Videos(twins, features.ids, np.array(features.dataset.classes)[features.labels])
    sizes = np.bincount(twins.group)
    if sizes.max() > SAME_SHARE * len(features.ids):
        yield Finding("W15", where, (f"{sizes.max():,} of {len(features.ids):,} videos have the same rows",))
    splits = {key: names for unseen in families.values() for key, names in unseen.items()}
    sides = []
    for names in splits.values():
        test = np.isin(videos.classes, list(names))
        sides.append((test & kept, ~test & kept))
    leaked, findings = _copies(videos, where, sides)
    yield from findings
    same, near = (found & kept & ~leaked for found in across_classes(twins, features.labels))
    if same.any() or near.any():
        yield Finding("W14", where, _said(videos, same, near, ()), _names(videos, same | near))


def check_training_twins(
    features: FeatureSet, other: FeatureSet, where: str, unseen: Unseen, trained: Callable[[str], frozenset[str]],
    *, search_now: bool = True,
) -> Iterator[Finding]:  # fmt: skip
    """Yield L7 and W14 if videos of unseen classes are also among the training videos of another dataset.

    Parameters
    ----------
    other
        The features that methods also train on.
    trained
        Digest of a split -> the classes of ``other`` that are trained on.
    """
    if features.manifest.simulated or other.manifest.simulated:
        return
    (features, kept), (other, other_kept) = _stored(features), _stored(other)
    if (twins := find_twins(features, other, search_now=search_now)) is None:
        return
    n = len(features.ids)
    classes = [np.array(each.dataset.classes)[each.labels] for each in (features, other)]
    videos = _Videos(twins, [*features.ids, *other.ids], np.concatenate(classes))
    sides = []
    for key, names in unseen.items():
        test, train = (np.zeros(len(videos.ids), dtype=bool) for _ in range(2))
        test[:n] = kept & np.isin(classes[0], list(names))
        train[n:] = other_kept & np.isin(classes[1], list(trained(key)))
        sides.append((test, train))
    leaked, findings = _copies(videos, where, sides)
    yield from findings
    same, near = (np.zeros(len(videos.ids), dtype=bool) for _ in range(2))
    everything = np.ones(len(twins.pairs), dtype=bool)
    for test, train in sides:
        same |= twins.same(test, train, common=True) & ~leaked
        near |= twins.near(test, train, everything) & ~leaked & ~same
    if same.any() or near.any():
        yield Finding("W14", where, _said(videos, same, near, (), _any(sides)), _names(videos, same | near))


def _stored(features: FeatureSet) -> tuple[FeatureSet, Mask]:
    """Return the stored feature set, whose twins are searched once, and which of its videos are among ``features``."""
    whole, rows = features.origin
    kept = np.zeros(len(whole.ids), dtype=bool)
    kept[rows] = True
    return whole, kept


def _copies(videos: _Videos, where: str, sides: Sequence[tuple[Mask, Mask]]) -> tuple[Mask, list[Finding]]:
    """Return the unseen videos that have a copy among the training videos of a split, and the finding."""
    twins, counts, sizes = videos.twins, [], []
    same, near = (np.zeros(len(videos.ids), dtype=bool) for _ in range(2))
    for test, train in sides:
        here = twins.same(test, train)
        close = twins.near(test, train, twins.certain) & ~here
        same |= here
        near |= close
        counts.append(int((here | close).sum()))
        sizes.append(int(test.sum()))
    near &= ~same
    if not (same | near).any():
        return same, []
    low, high = min(counts), max(counts)
    each = f"{low:,} to {high:,}" if low < high else f"{low:,}"
    many = f"in each of {len(counts)} distinct splits" if len(counts) > 1 else "in its one split"
    summary = (f"{each} of {min(sizes):,} or more unseen videos {many}",)
    disjoint = not any((test & other).any() for test, _ in sides for _, other in sides)
    trained = _any(sides) if disjoint else None
    return same | near, [Finding("L7", where, _said(videos, same, near, summary, trained), _names(videos, same | near))]


def _any(sides: Sequence[tuple[Mask, Mask]]) -> Mask:
    return np.asarray(np.any([train for _, train in sides], axis=0), dtype=bool)


def _said(videos: _Videos, same: Mask, near: Mask, more: Sequence[str], train: Mask | None = None) -> tuple[str, ...]:
    twins = videos.twins
    cosines = f"cosine of at least {COPY}" if more else f"cosine of at least {NEAR_COPY}"
    lines = [f"{same.sum():,} videos with the same rows, {near.sum():,} nearly the same ({cosines})", *more]
    if not more and (repeats := int((same & twins.common[twins.group]).sum())):
        lines.append(
            f"{repeats:,} of these have only rows that other videos have too: the extractor repeats itself, so equal "
            f"rows prove no copy"
        )
    if not more and near.any() and twins.by_chance > MOST_BY_CHANCE:
        lines.append(
            f"of unrelated videos with so few dimensions, {twins.by_chance:.2g} pairs would reach {COPY}: a high "
            f"cosine proves no copy"
        )
    if not twins.complete:
        lines.append("the search stopped at two million pairs, so there are more")
    lines += videos.lines(same, train)
    lines += videos.lines(near, train)
    return tuple(lines)


def _names(videos: _Videos, found: Mask) -> tuple[str, ...]:
    return tuple(np.unique(videos.classes[found]).tolist())
