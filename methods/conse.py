"""ConSE: a seen-class classifier's best guesses, averaged among class vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._linear import multinomial, probabilities
from zslbench_methods._selection import Axis, best_on_held_out, grid_of

_STRENGTHS = (1e-4, 1e-3, 1e-2)
TOPS = (1, 3, 10, 30)

_Array = NDArray[np.floating[Any]]


class ConSE(Method):
    """``f(x) = sum_{t in top T} p(t | x) s_t / sum_{t in top T} p(t | x)``, nearest class vector by cosine.

    p is a multinomial logistic regression over the seen classes, on mean-pooled features of unit length. s_t are the
    seen classes' vectors, also of unit length (Norouzi et al., ICLR 2014). Classes as probable as the T-th are kept
    with it, so that their order carries no meaning.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = ConSE()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
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
        folds
            Folds of seen classes for each choice on held-out ones.
        selection_videos
            Training videos that such a choice looks at, at most.
        """

        top: Annotated[int | None, Range(1, 50, log=True)] = Field(default=None, ge=1)
        strength: Annotated[float | None, Range(1e-5, 0.1, log=True)] = Field(default=None, gt=0)
        max_iterations: int = Field(default=200, ge=1)
        folds: int = Field(default=3, ge=2)
        selection_videos: int = Field(default=2000, ge=10)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose T and the strength on held-out seen classes, then fit the classifier on all of them."""
        p = self.params
        top = Axis.of("top", p.top, TOPS, least=1, most=len(classes))
        axes = Axis.of("strength", p.strength, _STRENGTHS), top

        def scores(known: SeenVideos, classes: Classes, videos: Videos, held_out: Classes) -> Iterator[_Array]:
            x, vectors, wanted = _unit(videos.pooled()), _unit(classes.vectors), _unit(held_out.vectors).T
            for strength, points in groupby(grid_of(*axes), key=lambda point: point[0]):
                weights, bias, present = self._classifier(_unit(known.pooled()), known.labels, strength)
                posteriors = probabilities(x, weights, bias)
                for _, top in points:
                    yield normalised(combine(posteriors, vectors[present], top)) @ wanted

        how = {"method": self, "folds": p.folds, "videos": p.selection_videos}
        strength, self._top = best_on_held_out(axes, scores, seen, classes, report, **how)
        self._weights, self._bias, present = self._classifier(_unit(seen.pooled()), seen.labels, strength, report)
        self._vectors = _unit(classes.vectors)[present]

    def _classifier(
        self, x: _Array, labels: NDArray[Any], strength: float, report: Report | None = None
    ) -> tuple[_Array, _Array, NDArray[Any]]:
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


def combine(posteriors: _Array, vectors: _Array, top: int) -> _Array:
    """Return the mean of the ``top`` most probable classes' vectors, (n, d), weighted by their posteriors, (n, k)."""
    top = min(top, posteriors.shape[1])
    least = np.partition(posteriors, -top, axis=1)[:, [-top]]
    kept = np.where(posteriors >= least, posteriors, 0)
    means: NDArray[np.floating[Any]] = kept / kept.sum(axis=1, keepdims=True) @ vectors
    return means


def _unit(x: NDArray[np.floating[Any]]) -> _Array:
    return normalised(np.asarray(x, dtype=np.float64))
