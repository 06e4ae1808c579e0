"""Named rules that remove classes from a dataset because they are too similar to other classes.

``name``
    The same content words (:mod:`zslbench.overlap.matches`).
``semantic``
    The same content words, or a cosine of at least 0.70 of two shipped class vectors.
``truze-v1``, ``truze-v2``
    ``semantic``, corrected by the decisions of TruZe's authors. They compared names and the predictions of an I3D
    network. The network's part cannot be computed from names, so it is a table with its source.
``e2e``
    A cosine distance below 0.05 between two class vectors: Brattoli et al. Rethinking Zero-shot Video Classification.
    CVPR 2020, ``filter_overlapping_classes`` in their released code. It keeps classes at a distance of exactly 0.05.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import get_label_set
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.overlap.matches import matches
from zslbench.registry import Registry
from zslbench.semantics.class_vectors import missing_words, open_semantics

DECISIONS = Registry("zslbench.overlap_decisions", "collection of decisions about overlap")
RULES = ("name", "semantic", "truze-v1", "truze-v2", "e2e")
E2E_DISTANCE = 0.05
E2E_VECTORS = "word2vec"


@dataclass(frozen=True)
class Decisions:
    """Decisions by the authors of a rule that differ from what names show.

    Attributes
    ----------
    rule, dataset, against
        The rule, and what it compares: classes of ``dataset`` with the label set ``against``.
    overlap, apart
        Classes that overlap although their names differ, and classes that do not although their names agree.

    Examples
    --------
    >>> decided = [each for name in DECISIONS.names() for each in DECISIONS.get(name)()]
    >>> sorted({(each.rule, each.against) for each in decided})
    [('truze-v1', 'kinetics400'), ('truze-v2', 'kinetics400')]
    """

    rule: str
    dataset: str
    against: str
    source: str
    overlap: Sequence[str] = ()
    apart: Sequence[str] = ()


@dataclass(frozen=True)
class Filtered:
    """The classes of a dataset that a rule keeps and removes.

    Attributes
    ----------
    kept
        The kept classes, in the dataset's order.
    removed
        Removed class -> reason.
    unjudged
        Kept class that the rule could not judge -> its words without a vector.
    missing
        Class of ``against`` that could not be compared -> its words without a vector.
    overruled
        Class that is kept because of a decision -> the evidence of the names.

    Examples
    --------
    >>> found = filter_classes("name", "hmdb51", ["kinetics400"])
    >>> found.removed["clap"]
    'clapping (same name; cosine 0.77)'
    >>> family = found.as_unseen("no-kinetics")
    >>> family.splits[0].unseen == found.kept
    True
    """

    rule: str
    dataset: str
    against: tuple[str, ...]
    source: str
    kept: tuple[str, ...]
    removed: Mapping[str, str]
    unjudged: Mapping[str, Sequence[str]] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overruled: Mapping[str, str] = field(default_factory=dict)

    def as_unseen(self, name: str) -> SplitFamily:
        """Return the family with one split: the kept classes are unseen, the removed ones seen.

        Raises
        ------
        ZslbenchError
            One side would be empty, or a class could not be judged.
        """
        self._check_judged()
        return SplitFamily(name, self.dataset, (Split(tuple(self.removed), self.kept),), self.source)

    def as_seen(self, name: str) -> list[SplitFamily]:
        """Return one family per dataset compared with: train on the kept classes, test on all classes of that dataset.

        Raises
        ------
        ZslbenchError
            Nothing is kept, a class could not be judged, or the label set compared with is not a dataset.
        """
        self._check_judged()
        families = []
        for other in self.against:
            dataset = get_dataset(get_label_set(other).dataset or other)
            split = Split(self.kept, dataset.classes, seen_dataset=self.dataset)
            families.append(SplitFamily(name, dataset.name, (split,), self.source))
        return families

    def _check_judged(self) -> None:
        if unjudged := [*self.unjudged, *self.missing]:
            raise ZslbenchError(
                f"{self.rule} cannot judge {len(unjudged)} classes ({some(unjudged, 4)}), so the split might contain "
                f"overlap; "
                f"choose class vectors that know their words with --semantics."
            )


def filter_classes(
    rule: str, dataset: str, against: Sequence[str], *, semantics: str = E2E_VECTORS, distance: float = E2E_DISTANCE
) -> Filtered:
    """Return the classes of ``dataset`` that a rule keeps, and those that it removes with the reason.

    Parameters
    ----------
    rule
        One of :data:`RULES`.
    against
        Label sets, or for ``e2e`` datasets; a class near any of them is removed.
    semantics, distance
        For ``e2e``: the class vectors, in the form of :func:`zslbench.semantics.class_vectors.open_semantics`, and the
        cosine distance below which a class is removed.

    Raises
    ------
    NotFoundError
        A name is unknown.
    ZslbenchError
        The rule does not cover these datasets.
    """
    if rule not in RULES:
        raise NotFoundError(f"no rule is called {rule!r}.{suggest(rule, RULES)}")
    known = get_dataset(dataset)
    names = tuple(get_label_set(name).name for name in against)
    if not names:
        raise ZslbenchError(f"{rule} needs something to compare with; name a dataset or label set with --against.")
    if rule == "e2e":
        return _by_distance(dataset, names, semantics, distance)
    removed: dict[str, str] = {}
    overruled: dict[str, str] = {}
    sources = []
    for other in names:
        decided = _decisions(rule, dataset, other) if rule.startswith("truze") else None
        for name, found in matches(dataset, other).items():
            best = next((match for match in found if match.how == "name" or rule != "name"), None)
            if best and decided and name in decided.apart:
                overruled[name] = best.evidence
            elif best:
                removed.setdefault(name, best.evidence)
        if decided:
            removed |= dict.fromkeys(decided.overlap, "decided by the authors of the rule")
            sources.append(decided.source)
    source = "; ".join(sources) or f"generated by zslbench: rule {rule} against {', '.join(names)}"
    return Filtered(rule, dataset, names, source, *_parted(known.classes, removed), overruled=overruled)


def _parted(classes: Sequence[str], removed: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the kept classes, and the removed ones with the reason, both in the dataset's order."""
    kept = tuple(name for name in classes if name not in removed)
    return kept, {name: removed[name] for name in classes if name in removed}


@cache
def _decisions(rule: str, dataset: str, against: str) -> Decisions:
    about: list[Decisions] = [each for name in DECISIONS.names() for each in DECISIONS.get(name)() if each.rule == rule]
    for each in about:
        if (each.dataset, each.against) == (dataset, against):
            return each
    known = ", ".join(f"{each.dataset} --against {each.against}" for each in about) or "nothing"
    raise ZslbenchError(f"{rule} only covers {known}; use --rule semantic for {dataset} against {against}.")


def _by_distance(dataset: str, against: tuple[str, ...], semantics: str, distance: float) -> Filtered:
    known = get_dataset(dataset)
    unjudged = missing_words(semantics, known)
    ours = [name for name in known.classes if name not in unjudged]
    missing: dict[str, Sequence[str]] = {}
    removed: dict[str, str] = {}
    vectors = open_semantics(semantics, known, ours).vectors.astype(float) if ours else None
    for other in against:
        if (target := get_label_set(other).dataset) is None:
            raise ZslbenchError(f"e2e compares class vectors, but {other} is not a dataset; use --rule semantic.")
        dataset_there = get_dataset(target)
        absent = missing_words(semantics, dataset_there)
        missing |= {f"{target} {name}": words for name, words in absent.items()}
        theirs = [name for name in dataset_there.classes if name not in absent]
        if vectors is None or not theirs:
            continue
        from scipy.spatial.distance import cdist

        distances = cdist(vectors, open_semantics(semantics, dataset_there, theirs).vectors.astype(float), "cosine")
        for name, row in zip(ours, distances, strict=True):
            j = int(row.argmin())
            if row[j] < distance:
                removed.setdefault(name, f"{theirs[j]} of {target} (cosine distance {row[j]:.3f})")
    source = f"generated by zslbench: rule e2e (Brattoli et al., CVPR 2020), {semantics}, distance {distance:g}"
    parted = _parted(known.classes, removed)
    return Filtered("e2e", dataset, against, source, *parted, unjudged=unjudged, missing=missing)
