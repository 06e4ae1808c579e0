"""Metrics of zero-shot recognition: arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Scores = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


def top_k(scores: _Scores, k: int) -> Labels:
    """Return the k best classes of each video, best first: (n, min(k, n_classes))."""
    k = min(k, scores.shape[1])
    # A partition, then a sort of k: with 400 classes much faster than sorting all of them.
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)


def hits(scores: _Scores, labels: Labels, k: int = 1) -> NDArray[np.bool_]:
    """Return for each video whether its label is among the k best classes, (n,)."""
    if k == 1:  # argmax takes the first of equal scores, and needs no partition
        return np.asarray(scores.argmax(axis=1) == labels)
    return np.asarray((top_k(scores, k) == labels[:, None]).any(axis=1))


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


def hubness(scores: _Scores, k: int = 1) -> float:
    """Return the skewness of the k-occurrence: how unevenly classes appear among the videos' k best.

    N_k(y) counts the videos that have class y among their k best. The skewness of its distribution over classes is
    Radovanovic et al.'s measure (JMLR 2010). 0 where all classes occur equally often.
    """
    counts = np.bincount(top_k(scores, k).ravel(), minlength=scores.shape[1]).astype(float)
    spread = counts.std()
    return float(((counts - counts.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0


@dataclass(frozen=True)
class SeenUnseenCurve:
    """Seen and unseen accuracy (per-class means) for every calibration factor.

    Subtracting a factor from every seen class's score (calibrated stacking, Chao et al., ECCV 2016) moves videos from
    seen to unseen predictions one by one. So the curve is exact, with one step per video.

    Attributes
    ----------
    factors
        (m,) increasing; ``seen[i]`` and ``unseen[i]`` hold for every factor in [factors[i], factors[i + 1]).
    seen, unseen
        (m,) per-class accuracies.

    Examples
    --------
    Two videos of one seen class, then two of one unseen class. A factor above 0.3 corrects the last one:

    >>> scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.6], [0.6, 0.3]])
    >>> curve = seen_unseen_curve(scores, np.array([0, 0, 1, 1]), np.array([True, False]))
    >>> curve.at(0.0), curve.at(0.4)
    ((1.0, 0.5), (1.0, 1.0))
    >>> round(curve.best_factor(), 2)  # in the middle of the step from 0.3 to 0.6
    0.45
    """

    factors: NDArray[np.float64]
    seen: NDArray[np.float64]
    unseen: NDArray[np.float64]

    @property
    def ausuc(self) -> float:
        """Area under the seen-unseen curve (trapezoids)."""
        return float(np.trapezoid(self.seen, self.unseen))

    def at(self, factor: float) -> tuple[float, float]:
        """Return (S, U) for one calibration factor."""
        i = max(0, int(np.searchsorted(self.factors, factor, side="right")) - 1)
        return float(self.seen[i]), float(self.unseen[i])

    def best_factor(self) -> float:
        """Return the factor with the greatest harmonic mean, in the middle of its step."""
        with np.errstate(invalid="ignore", divide="ignore"):
            h = np.nan_to_num(2 * self.seen * self.unseen / (self.seen + self.unseen))
        best = int(h.argmax())
        # The first step reaches down to minus infinity, the last one up to infinity: they have no middle.
        inside = self.factors[best : best + 2]
        finite = inside[np.isfinite(inside)]
        return float(finite.mean()) if len(finite) else 0.0


def seen_unseen_curve(scores: _Scores, labels: Labels, seen: NDArray[np.bool_]) -> SeenUnseenCurve:
    """Return the seen-unseen curve of GZSL scores.

    Parameters
    ----------
    scores
        (n, n_classes) over seen and unseen classes.
    labels
        (n,) true classes; videos of both kinds must be there.
    seen
        (n_classes,) which classes are seen.

    Raises
    ------
    ValueError
        All classes, or all videos, are of one kind.
    """
    from_seen = seen[labels]
    if seen.all() or not seen.any() or from_seen.all() or not from_seen.any():
        raise ValueError("GZSL needs seen and unseen classes, and test videos of both")
    scores = scores.astype(np.float64)
    best_seen = np.where(seen, scores, -np.inf)
    best_unseen = np.where(seen, -np.inf, scores)
    # A video goes from its best seen to its best unseen class as soon as the factor exceeds this gap.
    gap = best_seen.max(axis=1) - best_unseen.max(axis=1)
    right = np.where(from_seen, best_seen.argmax(axis=1), best_unseen.argmax(axis=1)) == labels
    totals = class_sums(np.ones(len(labels)), labels, len(seen))
    weight = right / totals[labels]
    order = np.argsort(gap, kind="stable")
    factors, first = np.unique(gap[order], return_index=True)
    gained = np.add.reduceat(np.where(from_seen, 0, weight)[order], first)
    lost = np.add.reduceat(np.where(from_seen, weight, 0)[order], first)
    n_seen = np.count_nonzero(totals[seen])
    n_unseen = np.count_nonzero(totals[~seen])
    unseen_curve = np.concatenate([[0.0], np.cumsum(gained)]) / n_unseen
    seen_curve = (lost.sum() - np.concatenate([[0.0], np.cumsum(lost)])) / n_seen
    return SeenUnseenCurve(np.concatenate([[-np.inf], factors]), seen_curve, unseen_curve)


def harmonic_mean(seen: float, unseen: float) -> float:
    """Return H = 2 S U / (S + U); 0 where both are 0."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0


def zsl_metrics(scores: _Scores, labels: Labels) -> dict[str, float]:
    """Return every figure of the ``zsl`` protocol.

    Parameters
    ----------
    scores
        (n, n_unseen) over the unseen classes.
    labels
        (n,) true unseen classes.
    """
    hit, hit5 = hits(scores, labels), hits(scores, labels, 5)
    counts = np.bincount(labels, minlength=scores.shape[1])
    return {
        "top1": per_video_accuracy(hit),
        "top1_per_class": per_class_accuracy(hit, labels),
        "top5": per_video_accuracy(hit5),
        "top5_per_class": per_class_accuracy(hit5, labels),
        "hubness": hubness(scores),
        "chance": 1 / scores.shape[1],
        "majority": float(counts.max() / counts.sum()),
    }


def gzsl_metrics(scores: _Scores, labels: Labels, seen: NDArray[np.bool_], factor: float | None) -> dict[str, float]:
    """Return every figure of the ``gzsl`` protocol; S, U and H are means over classes.

    Parameters
    ----------
    scores
        (n, n_classes) over seen and unseen classes.
    labels
        (n,) true classes.
    seen
        (n_classes,) which classes are seen.
    factor
        Calibration factor chosen on held-out seen classes; ``None`` leaves the calibrated figures out.
    """
    hit = hits(scores, labels)
    from_seen = seen[labels]
    s = per_class_accuracy(hit[from_seen], labels[from_seen])
    u = per_class_accuracy(hit[~from_seen], labels[~from_seen])
    curve = seen_unseen_curve(scores, labels, seen)
    result = {
        "top1": per_video_accuracy(hit),
        "top1_per_class": per_class_accuracy(hit, labels),
        "S": s,
        "U": u,
        "H": harmonic_mean(s, u),
        "AUSUC": curve.ausuc,
        "hubness": hubness(scores),
        "chance": 1 / scores.shape[1],
        "majority": float(np.bincount(labels).max() / len(labels)),
    }
    if factor is not None:
        s, u = curve.at(factor)
        result |= {"S_calibrated": s, "U_calibrated": u, "H_calibrated": harmonic_mean(s, u), "factor": factor}
    return result
