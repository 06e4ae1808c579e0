"""ESZSL: a bilinear compatibility in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import class_moments, normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._selection import Axis, best_on_held_out, grid_of

_Array = NDArray[np.floating[Any]]
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


class ESZSL(Method):
    """An embarrassingly simple approach: ``score = x^T W s`` with W in closed form.

    ``W = (X X^T + gamma l I)^{-1} X Y S^T (S S^T + lambda C I)^{-1}`` with X the (D, l) mean-pooled features, Y the
    (l, C) targets and S the (d, C) class vectors (Romera-Paredes and Torr, ICML 2015, equation 6). Features are scaled
    to unit length. The strengths are per video and per class, so that they stay valid for other sizes.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = ESZSL()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="eszsl",
        summary="Bilinear compatibility between mean-pooled features and class vectors, in closed form.",
        citation="Romera-Paredes and Torr, ICML 2015",
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        gamma
            Strength of the penalty on the feature side; ``None`` chooses on held-out seen classes.
        lambda_
            Strength of the penalty on the class side; ``None`` chooses on held-out seen classes.
        targets
            Values of Y: ``binary`` 0 and 1 as in the authors' released code, ``signed`` -1 and 1 as in the paper.
        folds
            Folds of seen classes when choosing.
        """

        gamma: Annotated[float | None, Range(1e-6, 1, log=True)] = Field(default=None, gt=0)
        lambda_: Annotated[float | None, Range(1e-6, 1, log=True)] = Field(default=None, gt=0)
        targets: Literal["signed", "binary"] = "binary"
        folds: int = Field(default=3, ge=2)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose the strengths on held-out seen classes, then solve on all of them."""
        p = self.params
        axes = Axis.of("gamma", p.gamma, _STRENGTHS), Axis.of("lambda_", p.lambda_, _STRENGTHS)

        def scores(known: SeenVideos, classes: Classes, videos: Videos, held_out: Classes) -> Iterator[_Array]:
            x = normalised(videos.pooled())
            for weights in self._solve(known, classes.vectors, grid_of(*axes)):
                yield x @ weights @ held_out.vectors.T

        how = {"method": self, "folds": p.folds, "videos": len(seen)}
        best = best_on_held_out(axes, scores, seen, classes, report, **how)
        (self._weights,) = self._solve(seen, classes.vectors, [best])

    def _solve(
        self, seen: SeenVideos, vectors: NDArray[np.float32], grid: list[tuple[Any, ...]]
    ) -> Iterator[NDArray[np.float64]]:
        """Yield W, (D, d), for each point; both eigen-decompositions are shared."""
        moment, sums = class_moments(seen, len(vectors), unit=True)
        right = sums.T if self.params.targets == "binary" else 2 * sums.T - sums.sum(axis=0)[:, None]
        values_x, basis_x = np.linalg.eigh(moment)
        s = vectors.astype(np.float64)
        values_s, basis_s = np.linalg.eigh(s.T @ s)
        middle = basis_x.T @ right @ s @ basis_s
        for gamma, lambda_ in grid:
            scale = (values_x + gamma * len(seen))[:, None] * (values_s + lambda_ * len(vectors))[None, :]
            yield basis_x @ (middle / scale) @ basis_s.T

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the compatibilities x^T W s, (n_videos, n_classes)."""
        return normalised(videos.pooled()) @ self._weights @ classes.vectors.T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return W, (D, d)."""
        return {"weights": self._weights}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take W back."""
        self._weights = state["weights"]
