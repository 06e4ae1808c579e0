"""Find the classes of a dataset that are among the labels that an extractor, or another dataset, was trained with.

There are two rules, each with its evidence. *Name*: the same content words, without case, word order, endings,
stop-words and light verbs (``playing basketball`` is ``Basketball``). *Vector*: the cosine of two class vectors of a
shipped sentence encoder is at least :data:`NEAR`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import LabelSet, get_label_set
from zslbench.errors import ZslbenchError
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.stems import Tokens, content_words

SOURCE = "minilm"  # the class vectors that datasets and label sets ship
# TruZe's authors found 96 of the 152 classes of UCF101 and HMDB51 in Kinetics-400. Equal names find 59 of them and 1
# other class. With this cosine it is 89 of them and 7 others: no threshold from 0.50 to 0.94 makes fewer errors
# (docs/audit.md).
NEAR = 0.70
How = Literal["name", "part", "vector"]


@dataclass(frozen=True)
class Match:
    """A class and the label nearest to it by one rule.

    Attributes
    ----------
    how
        ``name``: the same content words. ``part``: the content words of one are among those of the other. ``vector``:
        neither. The last two need near vectors; without vectors, ``part`` needs the words only.
    cosine
        Cosine of their class vectors; ``None`` if one has no vector.

    Examples
    --------
    >>> for match in matches("hmdb51", "kinetics400")["golf"]:
    ...     print(match.text)
    golf ~ golf driving (part of the name; cosine 0.81)
    """

    class_name: str
    label: str
    how: How
    cosine: float | None

    @property
    def same(self) -> bool:
        """Whether the names are equal; vectors alone only show that the two are similar."""
        return self.how == "name"

    @property
    def evidence(self) -> str:
        """``skiing slalom (part of the name; cosine 0.84)``."""
        how = {"name": "same name", "part": "part of the name", "vector": ""}[self.how]
        cosine = "" if self.cosine is None else f"cosine {self.cosine:.2f}"
        return f"{self.label} ({'; '.join(filter(None, (how, cosine)))})"

    @property
    def text(self) -> str:
        """``Skiing ~ skiing slalom (part of the name; cosine 0.84)``."""
        return f"{self.class_name} ~ {self.evidence}"


@cache
def matches(dataset: str, label_set: str, only: frozenset[str] | None = None) -> dict[str, tuple[Match, ...]]:
    """Return the matches of each class of a dataset in a label set, the surest first; leave out classes without any.

    A class has at most one match of each kind: with the same name, with a part of the name, by vector only.

    Parameters
    ----------
    dataset, label_set
        Their names.
    only
        The labels that count; all by default.

    Raises
    ------
    NotFoundError
        There is no such dataset or label set.
    """
    labels, known = get_label_set(label_set), get_dataset(dataset)
    cosines = class_cosines(dataset, labels)
    # Names of objects are nouns, so endings count: a 'dhole' is no form of 'dhol'. Their synonyms are not used below,
    # because they have other senses: 'board' for a table.
    stems = labels.kind == "actions"
    counts = [only is None or label in only for label in labels.labels]
    # Read the label as well as its phrase: the phrase of 'fencing (sport)' has lost its parentheses.
    readings = [
        content_words(texts[0], stems=stems) | content_words(label, stems=stems)
        for label, texts in zip(labels.labels, labels.phrases, strict=True)
    ]
    places = defaultdict(set)
    for j, theirs in enumerate(readings):
        for words in theirs if counts[j] else ():
            places[words].add(j)
    found = {}
    for i, name in enumerate(known.classes):
        ours = content_words(known.phrase(name), stems=stems)
        groups: dict[How, list[int]] = {"name": sorted(set().union(*(places.get(words, ()) for words in ours)))}
        near = range(len(readings)) if cosines is None else np.flatnonzero(cosines[i] >= NEAR).tolist()
        for j in near:
            if counts[j] and j not in groups["name"]:
                how: How = "part" if is_part(ours, readings[j], both=stems) else "vector"
                if how == "part" or cosines is not None:
                    groups.setdefault(how, []).append(j)
        best = []
        for how, found_at in groups.items():
            if found_at:
                j = found_at[0] if cosines is None else max(found_at, key=lambda j: float(cosines[i, j]))
                best.append(Match(name, labels.labels[j], how, None if cosines is None else float(cosines[i, j])))
        if best:
            found[name] = tuple(sorted(best, key=_sureness, reverse=True))
    return found


def _sureness(match: Match) -> tuple[bool, float]:
    return match.same, round(match.cosine or 0.0, 3)  # the last bits of equal cosines differ between machines


def is_part(ours: frozenset[Tokens], theirs: frozenset[Tokens], *, both: bool) -> bool:
    """Return whether a label is part of a class's name or, with ``both``, the class's name part of a label.

    For labels of objects, the second does not count: ``Punch`` has nothing to do with a ``punching bag``.
    """
    return any(b < a or (both and a < b) for a in ours for b in theirs)


def class_cosines(dataset: str, labels: LabelSet) -> NDArray[np.float32] | None:
    """Return the cosines, (n_classes, n_labels), or ``None`` if one side has no shipped vectors."""
    known = get_dataset(dataset)
    if SOURCE not in known.vectors:
        return None
    try:
        ours = open_semantics(SOURCE, known).vectors
        theirs = labels.vectors_of(SOURCE)
    except ZslbenchError:
        if labels.dataset is None:  # a package's set, which is broken
            raise
        return None  # an own dataset has phrases that the shipped vectors lack
    if theirs is None:
        return None
    return np.asarray(ours @ theirs.T, dtype=np.float32)


def overlapping(
    dataset: str, label_set: str, classes: Iterable[str], only: frozenset[str] | None = None
) -> list[Match]:
    """Return the surest match of each of ``classes`` that has one, the surest first."""
    table = matches(dataset, label_set, only)
    return sorted((table[name][0] for name in sorted(classes) if name in table), key=_sureness, reverse=True)
