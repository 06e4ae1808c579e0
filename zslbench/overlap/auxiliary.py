"""Leave out the classes of an auxiliary dataset that resemble unseen classes, by names and class vectors.

A class is left out if it has the name of an unseen class. It is also left out if the words of one name are among
those of the other: ``walk``, ``WalkingWithDog``. The third reason is a cosine of the class vectors of at least
:data:`AUXILIARY_NEAR`. This is wider than the rule of overlaps in the audit. A class left out in vain costs some
videos, but one left in by mistake makes an unseen class seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import get_label_set
from zslbench.overlap.matches import How, Match, class_cosines, is_part
from zslbench.semantics.stems import content_words

# With equal names, parts of names and this cosine, no class is missed of the 96 that TruZe's authors found in
# Kinetics-400, and 40 others are left out. It is the highest such threshold in steps of 0.02 (docs/auxiliary.md).
AUXILIARY_NEAR = 0.48
AUXILIARY_RULE = f"names, parts of names, cosine {AUXILIARY_NEAR:g}"  # part of the identity of cells


@dataclass(frozen=True)
class AuxiliaryClasses:
    """The classes of an auxiliary dataset that are left out and those that are left in.

    Attributes
    ----------
    left_out
        Class -> the unseen class that it resembles most.
    left_in
        For each other class the nearest unseen class, the nearest first.

    Examples
    --------
    >>> found = compare_auxiliary("hmdb51", "ucf101", frozenset(["WalkingWithDog", "Typing"]))
    >>> found.left_out["walk"].text
    'walk ~ WalkingWithDog (part of the name; cosine 0.57)'
    >>> found.left_in[0].text
    'golf ~ Typing (cosine 0.36)'
    """

    left_out: Mapping[str, Match]
    left_in: tuple[Match, ...]


@cache
def compare_auxiliary(auxiliary: str, dataset: str, unseen: frozenset[str]) -> AuxiliaryClasses:
    """Return the classes of ``auxiliary`` that resemble one of the ``unseen`` classes of a dataset, and the others.

    Without shipped vectors of both datasets, names alone decide, and the cosines are ``None``.
    """
    pairs = _pairs(auxiliary, dataset)
    left_out, left_in = {}, []
    for name in get_dataset(auxiliary).classes:
        best = max((pairs[name, label] for label in sorted(unseen)), key=_resemblance, default=None)
        if best is None:
            continue
        if best.how != "vector" or (best.cosine or 0) >= AUXILIARY_NEAR:
            left_out[name] = best
        else:
            left_in.append(best)
    return AuxiliaryClasses(left_out, tuple(sorted(left_in, key=_resemblance, reverse=True)))


def _resemblance(match: Match) -> tuple[int, float]:
    return ("vector", "part", "name").index(match.how), round(match.cosine or 0.0, 3)


@cache
def _pairs(auxiliary: str, dataset: str) -> dict[tuple[str, str], Match]:
    """Return all pairs of a class and a label, and how they resemble each other."""
    ours, labels = get_dataset(auxiliary), get_label_set(dataset)
    cosines = class_cosines(auxiliary, labels)
    theirs = [content_words(texts[0]) | content_words(label) for label, texts in zip(
        labels.labels, labels.phrases, strict=True)]  # fmt: skip
    found = {}
    for i, name in enumerate(ours.classes):
        words = content_words(ours.phrase(name))
        for j, label in enumerate(labels.labels):
            how: How = "name" if words & theirs[j] else "part" if is_part(words, theirs[j], both=True) else "vector"
            found[name, label] = Match(name, label, how, None if cosines is None else float(cosines[i, j]))
    return found
