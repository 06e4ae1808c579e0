"""Metrics of zero-shot recognition: arrays in, numbers out.

Equal scores have one order everywhere: that of the classes. Each method gets the classes in the split's order, seen
ones before unseen ones, and the order is the same for every video. So it says nothing of a video's class. A method that
gives all classes one score always predicts the first one; in GZSL, that is a seen one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 5  # the best classes of a video that figures are computed from
Labels = NDArray[np.integer[Any]]
_Scores = NDArray[np.floating[Any]]


def top_k(scores: _Scores, k: int) -> Labels:
    """Return the k best classes of each video, best first, (n, min(k, n_classes)); equal scores in class order."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


@dataclass(frozen=True)
class Ranked:
    """All that the figures need of the scores of the test videos.

    Attributes
    ----------
    labels
        (n,) true classes.
    best, scores
        (n, min(5, n_classes)) best classes of each video, best first, and their scores.
    seen
        (n_classes,) which classes are seen; none in ``zsl``, all in ``few-shot`` and ``supervised``.
    best_seen, seen_scores, best_unseen, unseen_scores
        (n,) the best seen and the best unseen class of each video, and their scores; ``None`` except in ``gzsl``.

    Examples
    --------
    Both classes have the same score, so the first one is predicted:

    >>> ranked = Ranked.of(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([1, 1]))
    >>> ranked.best.tolist(), ranked.hits().tolist()
    ([[0, 1], [1, 0]], [False, True])
    """

    labels: Labels
    best: Labels
    scores: NDArray[np.float64]
    seen: NDArray[np.bool_]
    best_seen: Labels | None = None
    seen_scores: NDArray[np.float64] | None = None
    best_unseen: Labels | None = None
    unseen_scores: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, scores: _Scores, labels: Labels, seen: NDArray[np.bool_] | None = None) -> Ranked:
        """Return what a whole matrix of scores holds of it.

        Parameters
        ----------
        scores
            (n, n_classes), finite.
        labels
            (n,) true classes.
        seen
            (n_classes,) which classes are seen; ``None`` in ``zsl``.
        """
        scores = np.asarray(scores, dtype=np.float64)
        best = top_k(scores, TOP)
        values = np.asarray(np.take_along_axis(scores, best, axis=1), dtype=np.float64)
        if seen is None:
            return cls(labels, best, values, np.zeros(scores.shape[1], dtype=bool))
        of_seen, of_unseen = np.where(seen, scores, -np.inf), np.where(seen, -np.inf, scores)
        return cls(labels, best, values, seen, of_seen.argmax(axis=1), of_seen.max(axis=1), of_unseen.argmax(axis=1),
                   of_unseen.max(axis=1))  # fmt: skip

    @classmethod
    def of_sides(cls, scores: _Scores, labels: Labels, seen: NDArray[np.bool_]) -> Ranked:
        """Return the same where each video is compared with the classes of its label's side only.

        Parameters
        ----------
        scores
            (n, n_classes); those of the other side do not count.
        """
        own = np.where(seen[labels][:, None] == seen, scores, -np.inf)
        least = int(min(np.count_nonzero(seen), np.count_nonzero(~seen)))
        found = cls.of(own, labels)
        return cls(labels, found.best[:, :least], found.scores[:, :least], seen)

    def hits(self, k: int = 1) -> NDArray[np.bool_]:
        """Return for each video whether its label is among the k best classes, (n,); k is 5 at most."""
        return np.asarray((self.best[:, :k] == self.labels[:, None]).any(axis=1))

    def class_hits(self, k: int = 1) -> NDArray[np.float64]:
        """Return the number of such videos of each class, (n_classes,)."""
        return class_sums(self.hits(k), self.labels, len(self.seen))


def per_video_accuracy(hit: NDArray[np.bool_]) -> float:
    """Return the share of videos that are right (Action2Vec's and the CLIP family's figure)."""
    return float(hit.mean())


def class_sums(values: NDArray[Any], labels: Labels, n_classes: int) -> NDArray[np.float64]:
    """Return the sum of ``values`` over the videos of each class, (n_classes,)."""
    return np.bincount(labels, weights=values, minlength=n_classes).astype(np.float64)


def per_class_accuracy(hit: NDArray[np.bool_], labels: Labels) -> float:
    """Return the mean over classes of the share of right videos (the GZSL literature's figure).

    Classes without videos do not count.
    """
    n_classes = int(labels.max()) + 1
    totals = class_sums(np.ones(len(labels)), labels, n_classes)
    present = totals > 0
    return float((class_sums(hit, labels, n_classes)[present] / totals[present]).mean())


def hubness(best: Labels, n_classes: int) -> float:
    """Return the skewness of the k-occurrence: how unevenly classes appear among the videos' k best.

    N_k(y) counts the videos that have class y among their k best. The skewness of its distribution over classes is
    Radovanovic et al.'s measure (JMLR 2010). 0 where all classes occur equally often.

    Parameters
    ----------
    best
        (n, k) the k best classes of each video.
    """
    counts = np.bincount(best.ravel(), minlength=n_classes).astype(float)
    spread = counts.std()
    return float(((counts - counts.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0


@dataclass(frozen=True)
class SeenUnseenCurve:
    """Seen and unseen accuracy (per-class means) for every calibration factor.

    Subtracting a factor from every seen class's score (calibrated stacking, Chao et al., ECCV 2016) moves videos from
    seen to unseen predictions one by one. So the curve is exact, with one step per video. Where both scores are equal,
    the class that comes first is predicted, here as everywhere. So ``at(0.0)`` is the accuracy without calibration.

    Some steps exist by rounding only: 0.9 - 0.6 and 0.8 - 0.5 differ in binary numbers. Others have no width: for equal
    differences, the order of classes decides at one factor. The area and the best factor leave such steps out, so that
    these videos move together (as in the released code of Chao et al.).

    Attributes
    ----------
    factors
        (m,) increasing; ``seen[i]`` and ``unseen[i]`` hold for every factor in [factors[i], factors[i + 1]).
    seen, unseen
        (m,) per-class accuracies.
    rounding
        (m,) how far rounding may have moved a factor.

    Examples
    --------
    Two videos of one seen class, then two of one unseen class. A factor above 0.3 corrects the last one:

    >>> scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.6], [0.6, 0.3]])
    >>> curve = seen_unseen_curve(Ranked.of(scores, np.array([0, 0, 1, 1]), np.array([True, False])))
    >>> curve.at(0.0), curve.at(0.4)
    ((1.0, 0.5), (1.0, 1.0))
    >>> round(curve.best_factor(), 2)  # in the middle of the step from 0.3 to 0.6
    0.45
    """

    factors: NDArray[np.float64]
    seen: NDArray[np.float64]
    unseen: NDArray[np.float64]
    rounding: NDArray[np.float64]

    @property
    def _lasting(self) -> NDArray[np.bool_]:
        """Which steps are wider than rounding; the last one has no end."""
        return np.append(np.diff(self.factors) > np.maximum(self.rounding[:-1], self.rounding[1:]), True)

    @property
    def ausuc(self) -> float:
        """Area under the seen-unseen curve (trapezoids)."""
        return float(np.trapezoid(self.seen[self._lasting], self.unseen[self._lasting]))

    def at(self, factor: float) -> tuple[float, float]:
        """Return (S, U) for one calibration factor."""
        i = max(0, int(np.searchsorted(self.factors, factor, side="right")) - 1)
        return float(self.seen[i]), float(self.unseen[i])

    def best_factor(self) -> float:
        """Return the factor with the greatest harmonic mean, in the middle of its step."""
        with np.errstate(invalid="ignore", divide="ignore"):
            h = np.nan_to_num(2 * self.seen * self.unseen / (self.seen + self.unseen))
        best = int(np.where(self._lasting, h, -1).argmax())
        # The first step reaches down to minus infinity, the last one up to infinity: they have no middle.
        inside = self.factors[best : best + 2]
        finite = inside[np.isfinite(inside)]
        return float(finite.mean()) if len(finite) else 0.0


def seen_unseen_curve(ranked: Ranked) -> SeenUnseenCurve:
    """Return the seen-unseen curve of GZSL scores.

    Raises
    ------
    ValueError
        All classes, or all videos, are of one kind.
    """
    labels, seen = ranked.labels, ranked.seen
    from_seen = seen[labels]
    if seen.all() or not seen.any() or from_seen.all() or not from_seen.any():
        raise ValueError("GZSL needs seen and unseen classes, and test videos of both")
    assert ranked.best_seen is not None and ranked.best_unseen is not None  # noqa: S101, PT018
    assert ranked.seen_scores is not None and ranked.unseen_scores is not None  # noqa: S101, PT018
    gap = ranked.seen_scores - ranked.unseen_scores
    # A video goes from its best seen to its best unseen class at this factor; if the seen class comes first, only
    # above it.
    moves = np.where(ranked.best_unseen < ranked.best_seen, gap, np.nextafter(gap, np.inf))
    right = np.where(from_seen, ranked.best_seen, ranked.best_unseen) == labels
    totals = class_sums(np.ones(len(labels)), labels, len(seen))
    weight = right / totals[labels]
    # A score is right to half a unit in its last place, so differences of the same value are at most this far apart.
    pair = np.stack([ranked.seen_scores, ranked.unseen_scores])
    with np.errstate(over="ignore"):
        single = (pair == pair.astype(np.float32)).all()
    rounding = 4 * np.finfo(np.float32 if single else np.float64).eps * np.abs(pair).max(axis=0)
    order = np.argsort(moves, kind="stable")
    factors, first = np.unique(moves[order], return_index=True)
    gained = np.add.reduceat(np.where(from_seen, 0, weight)[order], first)
    lost = np.add.reduceat(np.where(from_seen, weight, 0)[order], first)
    n_seen = np.count_nonzero(totals[seen])
    n_unseen = np.count_nonzero(totals[~seen])
    unseen_curve = np.concatenate([[0.0], np.cumsum(gained)]) / n_unseen
    seen_curve = (lost.sum() - np.concatenate([[0.0], np.cumsum(lost)])) / n_seen
    rounding = np.concatenate([[0.0], np.maximum.reduceat(rounding[order], first)])
    return SeenUnseenCurve(np.concatenate([[-np.inf], factors]), seen_curve, unseen_curve, rounding)


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return H = 2 S U / (S + U); 0 where both are 0."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0


def zsl_metrics(ranked: Ranked) -> dict[str, float]:
    """Return every figure of a protocol that tests all videos against all classes, none of which is held apart.

    With at most five classes there is no top-5: every video would be right.
    """
    found = _accuracies(ranked)
    if len(ranked.seen) > TOP:
        hit5 = ranked.hits(TOP)
        found |= {"top5": per_video_accuracy(hit5), "top5_per_class": per_class_accuracy(hit5, ranked.labels)}
    return found


def gzsl_metrics(ranked: Ranked, factor: float | None) -> dict[str, float]:
    """Return every figure of the ``gzsl`` protocol; S, U and H are means over classes.

    Parameters
    ----------
    ranked
        Of scores over seen and unseen classes, and videos of both.
    factor
        Calibration factor chosen on held-out seen classes; ``None`` leaves the calibrated figures out.
    """
    hit, labels = ranked.hits(), ranked.labels
    from_seen = ranked.seen[labels]
    s = per_class_accuracy(hit[from_seen], labels[from_seen])
    u = per_class_accuracy(hit[~from_seen], labels[~from_seen])
    curve = seen_unseen_curve(ranked)
    result = _accuracies(ranked) | {"S": s, "U": u, "H": harmonic_mean(s, u), "AUSUC": curve.ausuc}
    if factor is not None:
        s, u = curve.at(factor)
        result |= {"S_calibrated": s, "U_calibrated": u, "H_calibrated": harmonic_mean(s, u), "factor": factor}
    return result


def base_to_novel_metrics(ranked: Ranked) -> dict[str, float]:
    """Return every figure of the ``base-to-novel`` protocol, where each class is offered with those of its side only.

    ``base`` and ``novel`` count each video once, as the CLIP family reports them; ``HM`` is their harmonic mean.
    """
    hit, from_base = ranked.hits(), ranked.seen[ranked.labels]
    base, novel = per_video_accuracy(hit[from_base]), per_video_accuracy(hit[~from_base])
    n_base = int(np.count_nonzero(ranked.seen))
    chance = harmonic_mean(1 / n_base, 1 / (len(ranked.seen) - n_base))
    return _accuracies(ranked) | {"HM": harmonic_mean(base, novel), "base": base, "novel": novel, "chance": chance}


def _accuracies(ranked: Ranked) -> dict[str, float]:
    hit, n_classes = ranked.hits(), len(ranked.seen)
    return {
        "top1": per_video_accuracy(hit),
        "top1_per_class": per_class_accuracy(hit, ranked.labels),
        "hubness": hubness(ranked.best[:, :1], n_classes),
        "chance": 1 / n_classes,
        "majority": float(np.bincount(ranked.labels).max() / len(ranked.labels)),
    }
