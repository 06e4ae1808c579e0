"""Vector arithmetic among class embeddings: "play piano" - "piano" + "violin" should be nearest "play violin".

Hahn, Silva, Rehg. Action2Vec. arXiv:1901.00484, section 4.2.2: V_new = mean embedding of class "verb noun1" - w(noun1)
+ w(noun2). A pair passes if the nearest class, by Euclidean distance, is "verb noun2". The paper does not say whether
"verb noun1" itself may be the answer. Both are measured; the headline excludes it, as word analogies do.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.embeddings.class_embeddings import ClassEmbeddings
from zslbench.errors import OutOfVocabularyError, ZslbenchError
from zslbench.kernels import pairwise
from zslbench.semantic_tests.analogies import Groups, Pair, covered_groups, nouns_of, pairs
from zslbench.semantics.class_vectors import missing_words, open_semantics, text_vectors
from zslbench.semantics.spec import parse_spec
from zslbench.stats.intervals import Estimate, Float64Array, estimate

DISTANCES = ("euclidean", "cosine")
NEIGHBOURS = 3

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class MetricOutcome:
    """The pairs under one metric, with or without the source class among the candidates.

    Attributes
    ----------
    correct
        (n_pairs,) bool, whether the target is nearest V_new.
    nearest
        (n_pairs, 3) int64, indices of the nearest candidates among the classes, the nearest first.
    n_candidates
        Number of classes that could have been the answer.
    without_arithmetic
        (n_pairs,) bool, whether the target is nearest the source among the same candidates. It shows what passes if no
        noun is subtracted or added.
    micro, macro
        Share of pairs that pass, and the mean over verbs of that share, with intervals over verbs (NaN for fewer than
        five verbs).

    Examples
    --------
    >>> names = ("play piano", "play violin", "swim")
    >>> own = ClassEmbeddings("mine", names, np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.zeros(3))
    >>> nouns = {"piano": np.array([1.0, 0.0]), "violin": np.array([0.0, 1.0])}
    >>> test = vector_arithmetic(own, {"play": {"piano": names[0], "violin": names[1]}}, nouns)
    >>> test.outcome("euclidean", exclude_source=True).correct.tolist()
    [True, True]
    """

    metric: str
    exclude_source: bool
    correct: BoolArray
    nearest: NDArray[np.int64]
    n_candidates: int
    without_arithmetic: BoolArray
    micro: Estimate
    macro: Estimate

    @property
    def chance(self) -> float:
        """Share of the pairs that random guesses among the candidates get right."""
        return 1 / self.n_candidates


@dataclass(frozen=True)
class ArithmeticTest:
    """The vector-arithmetic test of one set of class embeddings.

    Attributes
    ----------
    title
        Origin of the embeddings.
    names
        (n_classes,) every candidate class.
    vectors
        (n_classes, d) their embeddings.
    pairs
        The tested pairs.
    nouns
        Noun -> its vector, (d,), in the same space.
    outcomes
        Two per metric: without and with the source among the candidates.
    without_class, without_noun
        Number of pairs left out because a class has no embedding, or a noun no vector (see ``missing_nouns``).
    both_seen
        (n_pairs,) bool, whether the model was trained on both classes; ``None`` if nothing was trained.

    Examples
    --------
    >>> names = ("play piano", "play violin", "swim")
    >>> own = ClassEmbeddings("mine", names, np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.zeros(3))
    >>> nouns = {"piano": np.array([1.0, 0.0]), "violin": np.array([0.0, 1.0])}
    >>> test = vector_arithmetic(own, {"play": {"piano": names[0], "violin": names[1]}}, nouns)
    >>> [pair.target for pair in test.pairs], test.v_new.tolist()
    (['play violin', 'play piano'], [[0.0, 1.0], [1.0, 0.0]])
    """

    title: str
    names: tuple[str, ...]
    vectors: Float64Array
    pairs: tuple[Pair, ...]
    nouns: Mapping[str, Float64Array]
    outcomes: tuple[MetricOutcome, ...]
    without_class: int
    without_noun: int
    missing_nouns: tuple[str, ...]
    both_seen: BoolArray | None

    def outcome(self, metric: str, *, exclude_source: bool) -> MetricOutcome:
        """Return one of :attr:`outcomes`."""
        return next(o for o in self.outcomes if (o.metric, o.exclude_source) == (metric, exclude_source))

    @cached_property
    def place(self) -> dict[str, int]:
        """Class name -> its row."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def sources(self) -> NDArray[np.int64]:
        """(n_pairs,) rows of the source classes."""
        return np.array([self.place[pair.source] for pair in self.pairs])

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """(n_pairs,) rows of the target classes."""
        return np.array([self.place[pair.target] for pair in self.pairs])

    @cached_property
    def steps(self) -> Float64Array:
        """(n_pairs, d), w(noun2) - w(noun1)."""
        return np.stack([self.nouns[pair.plus] - self.nouns[pair.minus] for pair in self.pairs])

    @cached_property
    def v_new(self) -> Float64Array:
        """(n_pairs, d), the results of the arithmetic."""
        return self.vectors[self.sources] + self.steps

    @cached_property
    def verbs(self) -> dict[str, NDArray[np.int64]]:
        """Verb -> indices of its pairs."""
        names = np.array([pair.verb for pair in self.pairs])
        return {verb: np.flatnonzero(names == verb) for verb in dict.fromkeys(names.tolist())}

    @cached_property
    def sibling_chance(self) -> Float64Array:
        """(n_pairs,), the probability that a random guess among the other classes of the verb is right."""
        siblings = Counter((pair.verb, pair.source) for pair in self.pairs)
        return np.array([1 / siblings[pair.verb, pair.source] for pair in self.pairs])

    @property
    def step_length(self) -> float:
        """Median over pairs of the length of w(noun2) - w(noun1)."""
        return float(np.median(np.linalg.norm(self.steps, axis=1)))

    @property
    def gap_length(self) -> float:
        """Median over pairs of the distance from source to target, which the step should cover."""
        return float(np.median(np.linalg.norm(self.vectors[self.targets] - self.vectors[self.sources], axis=1)))

    def source_nearest(self, metric: str) -> float:
        """Return the share of pairs whose V_new is nearest its own source: the nouns did not move it far enough."""
        return float((self.outcome(metric, exclude_source=False).nearest[:, 0] == self.sources).mean())

    def shares(self, values: NDArray[Any]) -> tuple[float, float]:
        """Return the mean over pairs of (n_pairs,) ``values``, and the mean over verbs of their means."""
        return float(values.mean()), float(np.mean([values[places].mean() for places in self.verbs.values()]))


def with_nouns(groups: Groups, names: Collection[str], nouns: Collection[str]) -> tuple[Groups, Groups]:
    """Return the groups among the classes ``names``, and the part of them whose nouns have a vector.

    Raises
    ------
    ZslbenchError
        No verb has two such nouns.
    """
    covered = covered_groups(groups, names)
    kept = {verb: {noun: c for noun, c in named.items() if noun in nouns} for verb, named in covered.items()}
    if not pairs(kept):
        missing = [noun for noun in nouns_of(covered) if noun not in nouns]
        raise ZslbenchError(
            f"no verb has two nouns with a vector (without: {', '.join(missing[:6])}); use a source that knows words, "
            "such as minilm or an imported file of word vectors."
        )
    return covered, kept


def vector_arithmetic(
    embeddings: ClassEmbeddings,
    groups: Groups,
    nouns: Mapping[str, NDArray[Any]],
) -> ArithmeticTest:
    """Return how often class "verb noun1" - noun1 + noun2 is nearest class "verb noun2".

    Parameters
    ----------
    embeddings
        One vector per class; all classes are candidates.
    groups
        Verb -> noun -> class name; pairs whose class has no embedding are left out and counted.
    nouns
        Noun -> its vector, (d,), in the space of the embeddings; pairs of a noun without one are left out and counted.

    Raises
    ------
    ZslbenchError
        No pair is left, or vectors have different dimensions or are not finite.
    """
    covered, kept = with_nouns(groups, embeddings.names, nouns)
    tested, n_covered = tuple(pairs(kept)), len(pairs(covered))
    missing = tuple(noun for noun in nouns_of(covered) if noun not in nouns)
    vectors = embeddings.vectors.astype(np.float64)
    used = {noun: np.asarray(nouns[noun], dtype=np.float64) for noun in nouns_of(kept)}
    if (dim := len(next(iter(used.values())))) != vectors.shape[1]:
        raise ZslbenchError(
            f"nouns have {dim} dimensions and {embeddings.title} {vectors.shape[1]}, so they cannot be added; use "
            "class vectors, or a method that maps words into the space of its videos."
        )
    if not all(np.isfinite(array).all() for array in (vectors, *used.values())):
        raise ZslbenchError(f"{embeddings.title} or its nouns contain a vector that is not finite; make them again.")
    seen = dict(zip(embeddings.names, embeddings.seen, strict=True)) if embeddings.seen is not None else None
    test = ArithmeticTest(
        title=embeddings.title,
        names=tuple(embeddings.names),
        vectors=vectors,
        pairs=tested,
        nouns=used,
        outcomes=(),
        without_class=len(pairs(groups)) - n_covered,
        without_noun=n_covered - len(tested),
        missing_nouns=missing,
        both_seen=None if seen is None else np.array([seen[p.source] and seen[p.target] for p in tested]),
    )
    return replace(test, outcomes=tuple(_outcome(test, m, exclude) for m in DISTANCES for exclude in (True, False)))


def noun_vectors(spec: str, dataset: Dataset, nouns: Sequence[str], *, raw: bool = False) -> dict[str, Float64Array]:
    """Return noun -> vector, (d,), from a source of class vectors; leave out nouns that it does not know.

    Parameters
    ----------
    spec
        The source, in the form of :func:`zslbench.semantics.class_vectors.open_semantics`.
    raw
        Whether to return the stored vectors. Otherwise the parameters of the class vectors apply (unit length, by
        default).

    Raises
    ------
    ZslbenchError
        The source is missing, or knows none of the nouns.
    """
    spec = _raw(spec, dataset) if raw else spec
    try:
        return dict(zip(nouns, text_vectors(spec, dataset, nouns).astype(np.float64), strict=True))
    except OutOfVocabularyError as error:
        # One by one only now: a source that computes vectors is much faster on all nouns together.
        known = {}
        for noun in nouns:
            with contextlib.suppress(OutOfVocabularyError):
                known[noun] = text_vectors(spec, dataset, [noun])[0].astype(np.float64)
        if not known:
            raise error
        return known


def _raw(spec: str, dataset: Dataset) -> str:
    """Return the source with the parameters that leave stored vectors unchanged."""
    missing = missing_words(spec, dataset)
    covered = [name for name in dataset.classes if name not in missing]
    parameters = open_semantics(spec, dataset, covered[:1]).parameters
    stored = {key: "false" if key in ("normalise", "unit_words") else value for key, value in parameters.items()}
    return f"{parse_spec(spec)[0]}:{','.join(f'{key}={value}' for key, value in stored.items())}"


def _outcome(test: ArithmeticTest, metric: str, exclude_source: bool) -> MetricOutcome:
    def nearest(points: NDArray[Any]) -> NDArray[np.int64]:
        if metric == "cosine":
            distances = 1 - pairwise(points, vectors, "cosine")
        else:
            distances = pairwise(points, vectors, "sqeuclidean")
        if exclude_source:  # infinitely far, so that the indices of the other classes stay as they are
            distances[np.arange(len(points)), test.sources] = np.inf
        # stable: equally near classes come in the order of the dataset, on every machine.
        return np.argsort(distances, axis=1, kind="stable")[:, : min(NEIGHBOURS, n_candidates)]

    vectors: NDArray[Any] = test.vectors
    n_candidates = len(test.names) - exclude_source
    found = nearest(test.v_new)
    correct = found[:, 0] == test.targets
    right = np.array([[correct[places].sum() for places in test.verbs.values()]], dtype=np.float64)
    total = np.array([[len(places) for places in test.verbs.values()]], dtype=np.float64)
    return MetricOutcome(
        metric=metric,
        exclude_source=exclude_source,
        correct=correct,
        nearest=found,
        n_candidates=n_candidates,
        without_arithmetic=nearest(test.vectors[test.sources])[:, 0] == test.targets,
        micro=estimate(right, total, "top1"),
        macro=estimate(right, total, "top1_per_class"),
    )


def summary(test: ArithmeticTest) -> dict[str, Any]:
    """Return the test's figures in a form for JSON: shares from 0 to 1, ``None`` for a missing interval."""
    return {
        "title": test.title,
        "classes": len(test.names),
        "pairs": len(test.pairs),
        "verbs": {verb: len(places) for verb, places in test.verbs.items()},
        "left_out": {"without_class": test.without_class, "without_noun": test.without_noun},
        "missing_nouns": list(test.missing_nouns),
        "median_step": test.step_length,
        "median_gap": test.gap_length,
        "sibling_chance": dict(zip(("micro", "macro"), test.shares(test.sibling_chance), strict=True)),
        "source_nearest": {metric: test.source_nearest(metric) for metric in DISTANCES},
        "outcomes": [_summary(test, outcome) for outcome in test.outcomes],
    }


def _summary(test: ArithmeticTest, outcome: MetricOutcome) -> dict[str, Any]:
    def figure(estimate: Estimate) -> dict[str, Any]:
        interval = None if np.isnan(estimate.low) else [estimate.low, estimate.high]
        return {"share": estimate.mean, "interval_95_over_verbs": interval}

    return {
        "metric": outcome.metric,
        "exclude_source": outcome.exclude_source,
        "candidates": outcome.n_candidates,
        "chance": outcome.chance,
        "micro": figure(outcome.micro),
        "macro": figure(outcome.macro),
        "without_arithmetic": dict(zip(("micro", "macro"), test.shares(outcome.without_arithmetic), strict=True)),
        "by_verb": {verb: float(outcome.correct[places].mean()) for verb, places in test.verbs.items()},
    }


def pair_rows(test: ArithmeticTest) -> list[dict[str, Any]]:
    """Return one record per pair and outcome, with the nearest classes."""
    return [
        {
            **asdict(pair),
            "metric": outcome.metric,
            "exclude_source": outcome.exclude_source,
            "passes": bool(outcome.correct[i]),
            **{f"nearest_{place}": test.names[row] for place, row in enumerate(outcome.nearest[i], start=1)},
        }
        for outcome in test.outcomes
        for i, pair in enumerate(test.pairs)
    ]
