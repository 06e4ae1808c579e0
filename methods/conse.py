"""ConSE: a seen-class classifier's best guesses, averaged among class vectors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import derive_seed
from zslbench.kernels import normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench_methods._linear import multinomial, probabilities
from zslbench_methods._selection import class_folds, held_out_accuracy

STRENGTHS = (1e-4, 1e-3, 1e-2)
TOPS = (1, 3, 10, 30)

Array = NDArray[np.floating[Any]]


class ConSE(Method):
    """``f(x) = sum_{t in top T} p(t | x) s_t / sum_{t in top T} p(t | x)``, nearest class vector by cosine.

    p is a multinomial logistic regression over the seen classes on mean-pooled features of unit length, and s_t the
    seen classes' vectors, of unit length too (Norouzi et al., ICLR 2014). Classes as probable as the T-th are kept
    with it, so that their order carries no meaning.
    """

    info = MethodInfo(
        name="conse",
        summary="Convex combination of the class vectors of the most probable seen classes; nearest by cosine.",
        citation="Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings, ICLR 2014",
        reconstruction=True,
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        top
            T, the seen classes that are combined; ``None`` chooses among 1, 3, 10 and 30 on held-out seen classes.
        strength
            The classifier minimises the mean loss plus strength / 2 times its squared weights; ``None`` chooses among
            1e-4 to 1e-2 on held-out seen classes.
        max_iterations
            Most iterations of L-BFGS.
        folds, selection_videos
            Folds of seen classes when choosing, and training videos that the choice looks at.
        """

        top: int | None = Field(default=None, ge=1)
        strength: float | None = Field(default=None, gt=0)
        max_iterations: int = Field(default=200, ge=1)
        folds: int = Field(default=3, ge=2)
        selection_videos: int = Field(default=2000, ge=10)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose T and the strength on held-out seen classes, then fit the classifier on all of them."""
        x, vectors = _unit(seen.pooled()), _unit(classes.vectors)
        strength, self._top = self._choose(x, seen.labels, vectors, report)
        self._weights, self._bias, present = self._classifier(x, seen.labels, strength, report)
        self._vectors = vectors[present]
        report.note(strength=strength, top=self._top)

    def _choose(self, x: Array, labels: NDArray[Any], vectors: Array, report: Report) -> tuple[float, int]:
        p = self.params
        strengths = STRENGTHS if p.strength is None else (p.strength,)
        tops = TOPS if p.top is None else (p.top,)
        if len(strengths) * len(tops) == 1 or len(vectors) < 2 * p.folds:
            return strengths[len(strengths) // 2], tops[len(tops) // 2]
        order = np.random.default_rng(derive_seed(self.seed, "sample")).permutation(len(x))
        some = np.sort(order[: p.selection_videos])
        x, labels = x[some], labels[some]
        accuracy = dict.fromkeys(product(strengths, tops), 0.0)
        folds = class_folds(len(vectors), p.folds, derive_seed(self.seed, "folds"))
        for i, (fold, strength) in enumerate(product(folds, strengths)):
            report.progress(i, len(folds) * len(strengths), "choosing on held-out seen classes")
            out = np.isin(labels, fold)
            if not out.any() or out.all():
                continue
            weights, bias, present = self._classifier(x[~out], labels[~out], strength)
            posteriors = probabilities(x[out], weights, bias)
            for top in tops:
                scores = normalised(combine(posteriors, vectors[present], top)) @ vectors[fold].T
                accuracy[strength, top] += held_out_accuracy(scores, labels[out], fold) / len(folds)
        best = max(accuracy, key=lambda point: accuracy[point])
        report.note(held_out_top1_per_class=accuracy[best])
        return best

    def _classifier(
        self, x: Array, labels: NDArray[Any], strength: float, report: Report | None = None
    ) -> tuple[Array, Array, NDArray[Any]]:
        """Return weights (k, D), biases (k,) and the k labels that have videos."""
        found, present = multinomial(x, labels, strength, self.params.max_iterations)
        if report is not None and not found.converged:
            report.warn(f"conse's classifier had not converged after {self.params.max_iterations} iterations.")
        return found.weights, found.bias, present

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return the convex combinations, (n, d)."""
        posteriors = probabilities(_unit(videos.pooled()), self._weights, self._bias)
        return combine(posteriors, self._vectors, self._top)

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return vectors of unit length, as those that are combined."""
        return normalised(vectors)

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines between combinations and class vectors, (n_videos, n_classes)."""
        return normalised(self.embed(videos)) @ _unit(classes.vectors).T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the classifier, the seen classes' vectors and T."""
        return {"weights": self._weights, "bias": self._bias, "vectors": self._vectors, "top": np.array(self._top)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._weights, self._bias, self._vectors = state["weights"], state["bias"], state["vectors"]
        self._top = int(state["top"])


def combine(posteriors: Array, vectors: Array, top: int) -> Array:
    """Return the mean of the ``top`` most probable classes' vectors, (n, d), weighted by their posteriors, (n, k)."""
    top = min(top, posteriors.shape[1])
    least = np.partition(posteriors, -top, axis=1)[:, [-top]]
    kept = np.where(posteriors >= least, posteriors, 0)
    return kept / kept.sum(axis=1, keepdims=True) @ vectors


def _unit(x: NDArray[np.floating[Any]]) -> Array:
    return normalised(np.asarray(x, dtype=np.float64))
