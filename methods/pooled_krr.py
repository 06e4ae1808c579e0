"""Kernel ridge regression from mean-pooled features to class vectors, with Laplacian regularisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.errors import ZslbenchError
from zslbench.kernels import between, centred, class_moments, normalised
from zslbench.method import Budget, Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._graph import chi2_map, knn_laplacian
from zslbench_methods._krylov import pays, solved_at_once
from zslbench_methods._nystrom import MOST_DENSE, centres_that_fit, falkon
from zslbench_methods._refinement import solved
from zslbench_methods._selection import Axis, best_on_held_out, grid_of, sample

_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
SMOOTHNESS = (0.0, 0.3)
_BLOCK = 4096  # videos whose kernel values are computed at a time

_Array = NDArray[np.float64]


class PooledKRR(Method):
    """Kernel ridge regression on mean-pooled features: Action2Vec's "Pooled C3D" baseline.

    With l training videos, Gram matrix K, one-hot labels Y, class vectors V and the normalised Laplacian L of the
    videos' k-nearest-neighbour graph, the regressor is ``f(x) = k(x) A V`` where ``(K + lambda l I + mu L K) A = Y``
    (LapRLS, Belkin et al., JMLR 2006, with mu = gamma_I l / (l + u)^2). Solving for one-hot labels and multiplying by
    the class vectors afterwards is the same as regressing on class vectors, with fewer right-hand sides.
    Strengths among which one is chosen share a Krylov space where that is faster; the last fit is refined to float64.

    Where this system does not fit, f is a sum of kernels at randomly chosen centres only, and Falkon's conjugate
    gradients solve for their coefficients (Rudi, Carratino and Rosasco, NIPS 2017).

    References
    ----------
    .. [1] Hahn, Silva, Rehg. Action2Vec: A Crossmodal Embedding Approach to Action Learning. arXiv:1901.00484, 2019.
    .. [2] Belkin et al., JMLR 2006.
    .. [3] Rudi, Carratino and Rosasco, NIPS 2017.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = PooledKRR()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="pooled-krr",
        summary="Kernel ridge regression on mean-pooled features, with Laplacian regularisation.",
        citation="Hahn et al. 2019, arXiv 1901.00484 (baseline); Belkin et al., JMLR 2006",
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        kernel
            ``rbf`` (median heuristic), ``chi2`` (exponential, mean heuristic; non-negative features), ``linear``,
            ``cosine`` (linear between unit features).
        bandwidth
            Multiple of the heuristic's bandwidth.
        strength
            lambda, the ridge penalty per video; ``None`` chooses on held-out seen classes.
        laplacian
            Whose nearest-neighbour graph smooths the regressor; ``train+test`` looks at unlabelled test videos and
            declares the budget ``unseen-videos``.
        smoothness
            mu; ``None`` chooses on held-out seen classes, 0 among the choices.
        neighbours
            k of the graph.
        centre
            Scale class vectors to unit length and subtract the mean of the seen ones, so that fewer classes are hubs.
        centres
            Nystrom centres. ``None`` solves with all videos up to 20,000 of them if the memory at hand allows, else
            takes as many as fit into 1 GiB of kernel values.
        folds
            Folds of seen classes for each choice on held-out ones.
        selection_videos
            Training videos that such a choice looks at, at most.
        """

        kernel: Literal["rbf", "chi2", "linear", "cosine"] = "rbf"
        bandwidth: Annotated[float, Range(0.1, 10, log=True)] = Field(default=1.0, gt=0)
        strength: Annotated[float | None, Range(1e-6, 1, log=True)] = Field(default=None, gt=0)
        laplacian: Literal["none", "train", "train+test"] = "train"
        smoothness: Annotated[float | None, Range(0, 1)] = Field(default=None, ge=0)
        neighbours: Annotated[int, Range(3, 50, log=True)] = Field(default=10, ge=1)
        centre: bool = False
        centres: int | None = Field(default=None, ge=1)
        folds: int = Field(default=3, ge=2)
        selection_videos: int = Field(default=2000, ge=10)

    _mean: Any = None  # of the seen class vectors, if it is subtracted

    @property
    def budget(self) -> frozenset[Budget]:
        """Return the budget, with ``unseen-videos`` where the graph covers test videos."""
        more = {Budget.UNSEEN_VIDEOS} if self.params.laplacian == "train+test" else set()
        return self.info.budget | more

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose strength and smoothness on held-out seen classes, then solve on all seen videos."""
        p = self.params
        self._primal = p.kernel in ("linear", "cosine") and p.laplacian == "none" and seen.dim < len(seen)
        if p.kernel == "chi2" and (seen.pooled() < 0).any():
            raise ZslbenchError(
                f"{self.info.name} with kernel=chi2 compares histograms, and there are negative features; "
                f"add --set {self.info.name}.kernel=rbf."
            )
        self._gamma = self._heuristic(seen)
        strength, smoothness = self._choose(seen, classes, report)
        self._centre(classes)
        self._warn_of_rounding(seen, strength, report)
        graph = target is not None and p.laplacian == "train+test" and smoothness > 0
        test = target.videos if target is not None and graph else None  # without smoothness their coefficients are 0
        self._train = seen.unlabelled() if test is None else seen.unlabelled().join(test)
        count = None if self._primal else self._count_centres(len(self._train))
        if count is None:
            (coefficients,) = self._solutions(seen, self._train, len(classes), [(strength, smoothness)])
        else:
            coefficients = self._on_centres(seen, self._train, count, len(classes), strength, smoothness, report)
        self._coefficients = (coefficients @ self.place(classes.vectors)).astype(np.float32)
        report.note(gamma=self._gamma)

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return the predicted class vectors, (n, d)."""
        blocks = [np.arange(i, min(i + _BLOCK, len(videos))) for i in range(0, len(videos), _BLOCK)]
        train = videos if self._primal else self._train  # the primal asks for no training video
        return np.concatenate([self._design(videos.take(block), train) @ self._coefficients for block in blocks])

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines between predicted and given class vectors, (n_videos, n_classes)."""
        return normalised(self.embed(videos)) @ normalised(self.place(classes.vectors)).T

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return class vectors as predictions are compared with them: less the seen ones' mean if ``centre``."""
        return vectors if self._mean is None else centred(vectors, self._mean)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the coefficients and, unless they are those of features, the training videos that kernels ask for."""
        state: dict[str, NDArray[Any]] = {"coefficients": self._coefficients}
        if self._mean is not None:
            state["mean"] = self._mean
        return state if self._primal else state | {"gamma": np.array(self._gamma), "train": self._train.pooled()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take the coefficients back, and the training videos as mean-pooled features."""
        self._primal = "train" not in state
        self._coefficients, self._mean = state["coefficients"], state.get("mean")
        if not self._primal:
            self._gamma = float(state["gamma"])
            self._train = Videos.from_arrays(state["train"])

    def _centre(self, classes: Classes) -> None:
        self._mean = normalised(classes.vectors).mean(axis=0) if self.params.centre else None

    def _warn_of_rounding(self, seen: SeenVideos, strength: float, report: Report) -> None:
        """Warn where the penalty is below the rounding errors of kernel values: of other kernels they are at most 1."""
        if self.params.kernel == "linear" and not self._primal:
            rounding = np.finfo(np.float32).eps * float(np.square(seen.pooled()).sum(axis=1).mean())
            if strength < rounding:
                report.warn(
                    f"strength={strength:g} is below the rounding errors of float32 kernel values ({rounding:.1g}), so "
                    f"that some scores are not exact; use kernel=cosine, laplacian=none or a greater strength."
                )

    def _design(self, videos: Videos, train: Videos) -> NDArray[np.float32]:
        """Return what the coefficients are multiplied with: features (n, D), or kernel values (n, n_train)."""
        if not self._primal:
            return self._kernel(videos, train)
        return normalised(videos.pooled()) if self.params.kernel == "cosine" else videos.pooled()

    def _kernel(self, a: Videos, b: Videos) -> NDArray[np.float32]:
        kernel = self.params.kernel
        if kernel in ("linear", "cosine"):
            return between(a, b, "inner" if kernel == "linear" else "cosine")
        distances = between(a, b, "sqeuclidean" if kernel == "rbf" else "chi2")
        distances *= -self._gamma
        return np.exp(distances, out=distances)

    def _heuristic(self, seen: SeenVideos) -> float:
        """Return 1 / (bandwidth x median squared distance), or the mean of chi2 as Xu et al. 2015 have it."""
        if self.params.kernel not in ("rbf", "chi2"):
            return 1.0
        some = seen.take(sample(len(seen), 1000, self.seed))
        distances = between(some, some, "sqeuclidean" if self.params.kernel == "rbf" else "chi2")
        upper = distances[np.triu_indices(len(some), 1)]
        middle = float(np.median(upper) if self.params.kernel == "rbf" else upper.mean())
        return 1.0 / (self.params.bandwidth * middle) if middle > 0 else 1.0

    def _choose(self, seen: SeenVideos, classes: Classes, report: Report) -> tuple[float, float]:
        p = self.params
        smoothness = 0.0 if p.laplacian == "none" else p.smoothness
        axes = (
            Axis.of("strength", p.strength, _STRENGTHS),
            Axis.of("smoothness", smoothness, SMOOTHNESS, least=0),
        )

        def scores(known: SeenVideos, classes: Classes, videos: Videos, held_out: Classes) -> Iterator[_Array]:
            self._centre(classes)
            for predicted in self._predictions(known, classes, videos, grid_of(*axes)):
                yield normalised(predicted) @ normalised(self.place(held_out.vectors)).T

        how = {"method": self, "folds": p.folds, "videos": len(seen) if self._primal else p.selection_videos}
        strength, smoothness = best_on_held_out(axes, scores, seen, classes, report, **how)
        return strength, smoothness

    def _predictions(
        self, seen: SeenVideos, classes: Classes, videos: Videos, grid: list[tuple[float, float]]
    ) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield the class vectors that each (strength, smoothness) predicts for ``videos``, (n, d)."""
        design = self._design(videos, seen.unlabelled())
        for coefficients in self._solutions(seen, seen.unlabelled(), len(classes), grid):
            yield (design @ coefficients.astype(np.float32)) @ self.place(classes.vectors)

    def _solutions(
        self, seen: SeenVideos, videos: Videos, n_classes: int, grid: list[tuple[Any, ...]]
    ) -> Iterator[_Array]:
        """Yield the coefficients of one-hot labels for each (strength, smoothness), sharing what does not change.

        They are (D, C) in the primal, else (n_videos, C); ``videos`` are those of ``seen`` and then, where the graph
        covers test videos, these.
        """
        if self._primal:
            from scipy.linalg import cho_factor, cho_solve

            moment, sums = class_moments(seen, n_classes, unit=self.params.kernel == "cosine")
            for strength, _ in grid:
                system = moment + strength * len(seen) * np.eye(seen.dim)
                yield cho_solve(cho_factor(system, overwrite_a=True, check_finite=False), sums.T)
            return
        labels = np.zeros((len(videos), n_classes))
        labels[np.arange(len(seen)), seen.labels] = 1
        gram = self._kernel(videos, videos)
        smooth = self._laplacian(videos) @ gram if any(smoothness > 0 for _, smoothness in grid) else None
        gram[len(seen) :] = 0  # only seen videos have labels to fit
        systems = {value: gram if smooth is None or value == 0 else value * smooth + gram for _, value in grid}
        known: dict[tuple[Any, ...], _Array | None] = {}
        for value, system in systems.items():
            alike = [point for point in grid if point[1] == value]
            if pays(len(videos), n_classes, len(alike)):
                shifts = [strength * len(seen) for strength, _ in alike]
                known |= zip(alike, solved_at_once(system, shifts, labels), strict=True)
        work = np.empty_like(gram)
        for point in grid:
            found = known.get(point)
            if found is None:
                strength, smoothness = point
                positive = smoothness == 0 and len(videos) == len(seen)
                found = solved(systems[smoothness], strength * len(seen), labels, positive=positive, work=work)
            yield found

    def _count_centres(self, n: int) -> int | None:
        """Return the number of Nystrom centres for n videos, or ``None`` where all are in one system."""
        if self.params.centres is None:
            return centres_that_fit(n)
        return None if self.params.centres >= n <= MOST_DENSE else min(self.params.centres, n)

    def _on_centres(
        self, seen: SeenVideos, videos: Videos, count: int, n_classes: int, strength: float, smoothness: float,
        report: Report,
    ) -> _Array:  # fmt: skip
        """Return the coefficients of ``count`` of the videos, which become those that predictions ask for."""
        self._train = videos.take(sample(len(videos), count, self.seed))
        cross = np.empty((len(videos), count), dtype=np.float32)
        for start in range(0, len(videos), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, len(videos)))
            report.progress(start, len(videos), "kernel values")
            cross[block] = self._kernel(videos.take(block), self._train)
        inner = self._kernel(self._train, self._train).astype(np.float64)
        labels = np.zeros((len(seen), n_classes), dtype=np.float32)
        labels[np.arange(len(seen)), seen.labels] = 1
        graph = self._laplacian(videos) if smoothness > 0 else None
        found = falkon(cross, inner, labels, strength, laplacian=graph, smoothness=smoothness)
        report.note(solver="Nystrom centres", centres=count, iterations=found.iterations)
        if not found.converged:
            report.warn(f"the solver stopped with a residual of {found.residual:.1g}; a greater strength helps.")
        return found.coefficients

    def _laplacian(self, videos: Videos) -> Any:
        """Return the sparse normalised Laplacian of the nearest-neighbour graph."""
        if self.params.kernel != "chi2":
            return knn_laplacian(videos.pooled(), self.params.neighbours)
        if len(videos) > MOST_DENSE:
            return knn_laplacian(chi2_map(videos.pooled()), self.params.neighbours)
        return knn_laplacian(between(videos, videos, "chi2"), self.params.neighbours, metric="precomputed")
