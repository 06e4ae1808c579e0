"""Which classes of a dataset are among the labels that an extractor, or another dataset, was trained with.

Two rules, each with its evidence. *Name*: the same content words, once case, word order, endings, stop-words and light
verbs are gone (``playing basketball`` is ``Basketball``). *Vector*: the cosine of two class vectors of a shipped
sentence encoder is at least :data:`NEAR`.
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
# TruZe's authors found 96 of the 152 classes of UCF101 and HMDB51 in Kinetics-400. Equal names find 59 of them and one
# other; with this cosine 89, and 7 others: no threshold from 0.50 to 0.94 errs less (docs/audit.md).
NEAR = 0.70
How = Literal["name", "part", "vector"]


@dataclass(frozen=True)
class Match:
    """A class and the label nearest to it by one rule.

    Attributes
    ----------
    how
        ``name``: the same content words; ``part``: one's content words are among the other's; ``vector``: neither. The
        last two only where the vectors are near, or ``part`` where there are none.
    cosine
        Of their class vectors; ``None`` where one has none.
    """

    class_name: str
    label: str
    how: How
    cosine: float | None

    @property
    def same(self) -> bool:
        """Whether the names are equal; vectors alone only tell that the two are near."""
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
    """Return the matches of each class of a dataset in a label set, the surest first; classes without any are left out.

    A class has at most one match of each kind: with the same name, with a part of the name, by vector alone.

    Parameters
    ----------
    dataset, label_set
        Their names.
    only
        The labels that count; all by default.

    Raises
    ------
    NotFoundError
        No such dataset or label set.
    """
    labels, known = get_label_set(label_set), get_dataset(dataset)
    cosines = _cosines(dataset, labels)
    # An object's name is a noun: a 'dhole' is no form of 'dhol'. Its synonyms have other senses: 'board' for a table.
    stems = labels.kind == "actions"
    counts = [only is None or label in only for label in labels.labels]
    # A dataset's phrase of 'fencing (sport)' has lost its parentheses.
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
                how: How = "part" if _is_part(ours, readings[j], both=stems) else "vector"
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
    return match.same, round(match.cosine or 0.0, 3)  # the last bits of equal ones differ between machines


def _is_part(ours: frozenset[Tokens], theirs: frozenset[Tokens], *, both: bool) -> bool:
    """Return whether a label is a part of a class's name, or, with ``both``, the other way round.

    Of objects only the first counts: ``Punch`` is no part of what a ``punching bag`` is.
    """
    return any(b < a or (both and a < b) for a in ours for b in theirs)


def _cosines(dataset: str, labels: LabelSet) -> NDArray[np.float32] | None:
    """Return (n_classes, n_labels), or ``None`` where one side has no shipped vectors."""
    known = get_dataset(dataset)
    theirs = labels.vectors_of(SOURCE)
    if theirs is None or SOURCE not in known.vectors:
        return None
    try:
        ours = open_semantics(SOURCE, known).vectors
    except ZslbenchError:
        return None
    return np.asarray(ours @ theirs.T, dtype=np.float32)


def overlapping(
    dataset: str, label_set: str, classes: Iterable[str], only: frozenset[str] | None = None
) -> list[Match]:
    """Return the surest match of each of ``classes`` that has one, the surest first."""
    table = matches(dataset, label_set, only)
    return sorted((table[name][0] for name in sorted(classes) if name in table), key=_sureness, reverse=True)
