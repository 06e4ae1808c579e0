"""SAE: a linear autoencoder of features whose code is the class vector, solved exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import class_moments, normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Choices, Range
from zslbench_methods._selection import Axis, best_on_held_out

_Array = NDArray[np.floating[Any]]
Direction = Literal["encode", "decode"]
DIRECTIONS: tuple[Direction, Direction] = ("encode", "decode")
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


class SAE(Method):
    """The semantic autoencoder: W encodes features as class vectors, and its transpose decodes them.

    W, (d, D), minimises ``||X - W^T S||^2 + lambda ||W X - S||^2`` with X the (D, l) mean-pooled features and S the (d,
    l) class vectors of the videos. It solves the Sylvester equation ``S S^T W + lambda W X X^T = (1 + lambda) S X^T``
    (Kodirov, Xiang and Gong, CVPR 2017). Features and class vectors are scaled to unit length.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = SAE()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="sae",
        summary="Linear autoencoder of mean-pooled features whose code is the class vector, in closed form.",
        citation="Kodirov, Xiang and Gong, Semantic Autoencoder for Zero-Shot Learning, CVPR 2017",
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        lambda_
            Strength of the encoder's error beside the decoder's; ``None`` chooses among 0.001 to 1000 on held-out seen
            classes.
        direction
            ``encode`` compares the code W x with class vectors (the paper's F to S). ``decode`` compares the features x
            with decoded class vectors W^T s (S to F). ``None`` chooses on held-out seen classes.
        folds
            Folds of seen classes when choosing.
        """

        lambda_: Annotated[float | None, Range(1e-3, 1e3, log=True)] = Field(default=None, gt=0)
        direction: Annotated[Direction | None, Choices("encode", "decode")] = None
        folds: int = Field(default=3, ge=2)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose lambda and direction on held-out seen classes, then solve on all of them."""
        p = self.params
        # Strengths come first: the middle point, for too few classes to choose, has the middle strength.
        axes = Axis.of("lambda_", p.lambda_, _STRENGTHS), Axis.of("direction", p.direction, DIRECTIONS)

        def scores(known: SeenVideos, classes: Classes, videos: Videos, held_out: Classes) -> Iterator[_Array]:
            x = videos.pooled()
            for weights in self._solve(known, classes.vectors, axes[0].choices):
                for direction in axes[1].choices:
                    yield _cosines(weights, x, held_out.vectors, direction)

        how = {"method": self, "folds": p.folds, "videos": len(seen)}
        lambda_, self._direction = best_on_held_out(axes, scores, seen, classes, report, **how)
        (self._weights,) = self._solve(seen, classes.vectors, (lambda_,))

    def _solve(
        self, seen: SeenVideos, vectors: NDArray[np.float32], strengths: tuple[float, ...]
    ) -> Iterator[NDArray[np.float64]]:
        """Yield W, (d, D), for each lambda.

        Both matrices of the Sylvester equation are symmetric. Between their eigenvectors it is one division per value,
        and their decompositions serve every lambda. The equation is singular with fewer seen classes than d and
        features that do not span their space. There the right-hand side is zero too, and the solution of least norm
        is taken.
        """
        moment, sums = class_moments(seen, len(vectors), unit=True)
        s = normalised(vectors.astype(np.float64))
        counts = np.bincount(seen.labels, minlength=len(s))
        values_s, basis_s = np.linalg.eigh((s.T * counts) @ s)
        values_x, basis_x = np.linalg.eigh(moment)
        middle = basis_s.T @ (s.T @ sums) @ basis_x
        rank_s, rank_x = (v > v.max(initial=0) * v.size * np.finfo(float).eps for v in (values_s, values_x))
        middle[~(rank_s[:, None] & rank_x[None, :])] = 0  # S X^T has no part there but rounding errors
        for strength in strengths:
            scale = values_s[:, None] + strength * values_x[None, :]
            code = np.divide((1 + strength) * middle, scale, out=np.zeros_like(middle), where=middle != 0)
            yield basis_s @ code @ basis_x.T

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return the codes W x, (n, d), in either direction."""
        return normalised(videos.pooled()) @ self._weights.T

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return vectors of unit length: what the codes were fitted to."""
        return normalised(vectors)

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return cosines among class vectors or, where these are decoded, among features, (n_videos, n_classes)."""
        return _cosines(self._weights, videos.pooled(), classes.vectors, self._direction)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return W, (d, D), and whether class vectors are decoded."""
        return {"weights": self._weights, "decode": np.array(self._direction == "decode")}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._weights, self._direction = state["weights"], DIRECTIONS[int(state["decode"])]


def _cosines(
    weights: NDArray[np.float64], features: NDArray[np.float32], vectors: NDArray[np.float32], direction: Direction
) -> NDArray[np.float64]:
    x, s = normalised(features.astype(np.float64)), normalised(vectors.astype(np.float64))
    return normalised(x @ weights.T) @ s.T if direction == "encode" else x @ normalised(s @ weights).T
