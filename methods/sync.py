"""SYNC: classifiers of unseen classes, synthesized from those of phantom classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._linear import BinaryProblems
from zslbench_methods._selection import Axis, best_on_held_out, grid_of

_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
SCALES = tuple(2.0**power for power in range(-5, 6))

_Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Phantoms:
    """Phantom classes, from which the classifier of any class is made.

    Attributes
    ----------
    vectors
        (R, d) of unit length.
    classifiers
        (R, D), V.
    factor
        Of the squared distance in the kernel: the scale over the median squared distance of two phantoms.
    """

    vectors: _Array
    classifiers: _Array
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: _Array, weights: _Array, scale: float) -> Phantoms:
        """Return phantoms at classes with these vectors, (R, d), from which their classifiers (R, D) come back."""
        from scipy.spatial.distance import pdist

        unit = normalised(np.asarray(vectors, dtype=np.float64))
        distances = pdist(unit, "sqeuclidean")
        factor = np.asarray(scale / np.median(distances) if distances.any() else scale)
        own = similarities(unit, unit, factor)
        inverse = np.linalg.pinv(own, rcond=len(own) * np.finfo(float).eps)
        return cls(unit, inverse @ weights, factor)

    def synthesize(self, vectors: _Array) -> _Array:
        """Return the classifiers of classes with these vectors, (n_classes, D)."""
        unit = normalised(np.asarray(vectors, dtype=np.float64))
        return similarities(unit, self.vectors, self.factor) @ self.classifiers


def similarities(a: _Array, b: _Array, factor: NDArray[np.float64]) -> _Array:
    """Return ``exp(-factor |a_c - b_r|^2)``, (n_a, n_b), each row over its sum."""
    from scipy.spatial.distance import cdist
    from scipy.special import softmax

    return np.asarray(softmax(-factor * cdist(a, b, "sqeuclidean"), axis=1))


class SYNC(Method):
    """Synthesized classifiers: ``score = x^T w_c`` with ``w_c = sum_r s_cr v_r`` over phantom classes r.

    ``s_cr = exp(-scale d(a_c, b_r)) / sum_r' exp(-scale d(a_c, b_r'))`` with d the squared distance of class vectors of
    unit length over its median between seen classes. The phantoms b_r are the seen classes' vectors, so that
    ``V = S^+ W`` with S their own s and W their classifiers one against all others, trained with the squared hinge
    loss, without a bias (Changpinyo et al., CVPR 2016: one-versus-other, and in its authors' fast code).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = SYNC()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="sync",
        summary="Classifiers synthesized from those of the seen classes, by a kernel between class vectors.",
        citation="Changpinyo, Chao, Gong and Sha, Synthesized Classifiers for Zero-Shot Learning, CVPR 2016",
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        scale
            Scale of the kernel between class vectors; ``None`` chooses among 2^-5 to 2^5 on held-out seen classes.
        strength
            A seen class's classifier minimises the mean loss plus strength / 2 times its squared weights; ``None``
            chooses among 1e-4 to 1e-1 on held-out seen classes.
        max_iterations
            Most iterations of the classifiers' optimiser.
        folds
            Folds of seen classes for each choice on held-out ones.
        selection_videos
            Training videos that such a choice looks at, at most.
        """

        scale: Annotated[float | None, Range(0.03, 30, log=True)] = Field(default=None, gt=0)
        strength: Annotated[float | None, Range(1e-5, 1, log=True)] = Field(default=None, gt=0)
        max_iterations: int = Field(default=500, ge=1)
        folds: int = Field(default=3, ge=2)
        selection_videos: int = Field(default=2000, ge=10)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose strength and scale on held-out seen classes, then learn the phantoms' classifiers."""
        p = self.params
        axes = Axis.of("strength", p.strength, _STRENGTHS), Axis.of("scale", p.scale, SCALES)

        def scores(known: SeenVideos, classes: Classes, videos: Videos, held_out: Classes) -> Iterator[_Array]:
            x = normalised(videos.pooled())
            for model in self._learn(known, classes, grid_of(*axes), Report()):
                yield x @ model.synthesize(held_out.vectors).T

        how = {"method": self, "folds": p.folds, "videos": p.selection_videos}
        best = best_on_held_out(axes, scores, seen, classes, report, **how)
        (self._model,) = self._learn(seen, classes, [best], report)

    def _learn(
        self, seen: SeenVideos, classes: Classes, grid: list[tuple[Any, ...]], report: Report
    ) -> Iterator[Phantoms]:
        """Yield the phantom classes of each (strength, scale); classifiers are trained once per strength."""
        present, labels = np.unique(seen.labels, return_inverse=True)
        problems = BinaryProblems(normalised(seen.pooled()), bias=False)
        signs = np.where(labels[:, None] == np.arange(len(present)), 1, -1)
        for strength, points in groupby(grid, key=lambda point: point[0]):
            found = problems.solve(signs, strength, "squared-hinge", self.params.max_iterations)
            if not found.converged:
                report.warn(f"some classifiers had not converged after {self.params.max_iterations} iterations.")
            for _, scale in points:
                yield Phantoms.of(classes.vectors[present], found.weights, scale)

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the values of the classes' synthesized classifiers, (n_videos, n_classes)."""
        return normalised(videos.pooled()) @ self._model.synthesize(classes.vectors).T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the phantoms' vectors and classifiers, and the factor of the squared distance."""
        return {name: np.asarray(value) for name, value in vars(self._model).items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._model = Phantoms(**state)
