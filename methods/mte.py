"""MTE: a multi-task latent embedding, with auxiliary videos weighted by how much they look like the test (KLIEP)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import derive_seed
from zslbench.kernels import class_moments, normalised
from zslbench.method import Budget, Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._kliep import MULTIPLES, fit_ratio
from zslbench_methods._multi_task import Moments, Problem, name_map
from zslbench_methods._selection import Axis, best_of, class_folds, grid_of, held_out_accuracy

_STRENGTHS = (1e-3, 3e-3, 1e-2, 3e-2)
INVERSES = (0.1, 1.0, 10.0)

_Array = NDArray[np.float64]
Maps = tuple[_Array, _Array | None]  # of videos, (k, D), and of names, (k, d), if they are moved


class MTE(Method):
    """Multi-task embedding (Xu, Hospedales and Gong, ECCV 2016): ``f(x) = A S x``, matched among the latent tasks.

    With z the class vector of a video's class, ``mean |z - A S x|^2 + lambda (|A|^2 + |S|^2)`` is minimised by
    alternating ridge solutions. A video lies at ``S x`` and a name at ``(A^T A + rho t I)^{-1} A^T g(y)``, t the mean
    of A^T A's eigenvalues; the score is their cosine. Features and class vectors have unit length, and the training
    features' mean is taken off the features.

    Auxiliary videos can be weighted by KLIEP: ``w(x)``, with mean 1 over them, makes their density that of the
    unlabelled test videos, or of the test classes' names.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = MTE()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="mte",
        summary="Multi-task latent embedding of mean-pooled features and names; auxiliary videos weighted by KLIEP.",
        citation="Xu, Hospedales and Gong, Multi-Task Zero-Shot Action Recognition with Prioritised Data Augmentation, "
        "ECCV 2016",
        reconstruction=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "word-space": {"mapping": "words"},
        "rmtl": {"mapping": "rmtl"},
        "stl": {"mapping": "stl"},
    }

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        mapping
            ``latent``: the method. ``words``: the same A and S, compared among class vectors, A S x with g(y).
            ``rmtl``: rows ``w_0 + v_t`` of one matrix; ``stl``: plain ridge regression; both among class vectors.
        tasks
            k, the number of latent tasks; fewer where class vectors or features have fewer values.
        strength
            lambda; ``None`` chooses on held-out seen classes.
        inverse
            rho; ``None`` chooses on held-out seen classes.
        common
            Penalty on w_0 beside that on each v_t, for ``rmtl``.
        centre
            Take the training features' mean off the features.
        weights
            Weights of auxiliary videos. ``visual``: by the unlabelled test videos (budget ``unseen-videos``).
            ``names``: by the test classes (budget ``unseen-names-at-training``). ``both``: their product. Without
            auxiliary videos nothing changes.
        centres
            Basis functions of KLIEP at most.
        folds
            Folds of seen classes when choosing.
        """

        mapping: Literal["latent", "words", "rmtl", "stl"] = "latent"
        tasks: int = Field(default=50, ge=1)
        strength: Annotated[float | None, Range(1e-4, 0.1, log=True)] = Field(default=None, gt=0)
        inverse: float | None = Field(default=None, gt=0)
        common: Annotated[float, Range(0.1, 10, log=True)] = Field(default=1.0, gt=0)
        centre: bool = True
        weights: Literal["none", "visual", "names", "both"] = "none"
        centres: int = Field(default=100, ge=1)
        folds: int = Field(default=3, ge=2)

    @property
    def budget(self) -> frozenset[Budget]:
        """Return the budget, with what the weights look at."""
        more = {
            "visual": {Budget.UNSEEN_VIDEOS},
            "names": {Budget.UNSEEN_NAMES},
            "both": {Budget.UNSEEN_VIDEOS, Budget.UNSEEN_NAMES},
        }
        return self.info.budget | more.get(self.params.weights, set())

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Weigh the auxiliary videos, choose lambda and rho on held-out seen classes, and solve on all videos."""
        vectors = normalised(classes.vectors.astype(np.float64))
        auxiliary = np.zeros(len(classes), dtype=bool) if classes.auxiliary is None else classes.auxiliary
        of_auxiliary = auxiliary[seen.labels]
        own, others = seen.take(~of_auxiliary), seen.take(of_auxiliary)
        known = _weighted(others, len(classes), self._weights(others, vectors, target, report))
        best = self._choose(own, known, np.flatnonzero(~auxiliary), vectors, report)
        moments, self._mean = self._centred(_moments(own, len(classes)) + known)
        ((_, (self._videos, self._names)),) = self._solutions(Problem(moments, vectors), [best])

    def _weights(self, others: SeenVideos, vectors: _Array, target: Target | None, report: Report) -> _Array:
        """Return the auxiliary videos' weights, (n,), of mean 1."""
        p, weights = self.params, np.ones(len(others))
        if p.weights == "none":
            return weights
        if not len(others):
            report.warn(f"no auxiliary videos: weights={p.weights} changes nothing; add --auxiliary DATASET@FEATURES.")
            return weights
        if p.weights != "names" and target is not None and target.videos is not None:
            x = normalised(others.pooled())
            ratio = fit_ratio(normalised(target.videos.pooled()), x, n_centres=p.centres, seed=self.seed)
            weights *= ratio(x)
            report.note(visual_width=ratio.width)
            report.chosen("visual_width_multiple", ratio.multiple, MULTIPLES)
        if p.weights != "visual" and target is not None and target.classes is not None:
            unseen = normalised(target.classes.vectors.astype(np.float64))
            counts = np.bincount(others.labels, minlength=len(vectors))
            ratio = fit_ratio(unseen, vectors, counts, n_centres=p.centres, seed=self.seed)
            weights *= ratio(vectors)[others.labels]
            report.note(names_width=ratio.width)
            report.chosen("names_width_multiple", ratio.multiple, MULTIPLES)
        weights = weights / weights.mean() if weights.sum() > 0 else np.ones(len(others))
        report.note(effective_share=weights.sum() ** 2 / (weights**2).sum() / len(weights))
        return weights

    def _choose(
        self, own: SeenVideos, known: Moments, classes: NDArray[np.int64], vectors: _Array, report: Report
    ) -> tuple[Any, ...]:
        """Return lambda and, for ``latent``, rho, from the classes ``classes``; ``known`` are the auxiliary videos."""
        p = self.params
        axes = [Axis.of("strength", p.strength, _STRENGTHS)]
        if p.mapping == "latent":
            axes.append(Axis.of("inverse", p.inverse, INVERSES))
        grid = grid_of(*axes)
        accuracies: dict[tuple[Any, ...], list[float]] = {point: [] for point in grid}
        folds: list[NDArray[np.int64]] = []
        given = self.validation if len(grid) > 1 else None
        if given is not None:
            moments, mean = self._centred(_moments(own, len(vectors)) + known)
            x, new = normalised(given.videos.pooled()) - mean, normalised(given.classes.vectors.astype(np.float64))
            for point, maps in self._solutions(Problem(moments, vectors), grid):
                scores = _cosines(x, new, maps)
                accuracies[point].append(held_out_accuracy(scores, given.videos.labels, np.arange(len(new))))
        elif len(grid) > 1 and len(classes) >= 2 * p.folds:
            folds = [classes[fold] for fold in class_folds(len(classes), p.folds, derive_seed(self.seed, "folds"))]
        for i, fold in enumerate(folds):
            report.progress(i, len(folds), "choosing on held-out seen classes")
            out = np.isin(own.labels, fold)
            if not out.any() or out.all():
                continue
            moments, mean = self._centred(_moments(own.take(~out), len(vectors)) + known)
            x = normalised(own.take(out).pooled()) - mean
            for point, maps in self._solutions(Problem(moments, vectors), grid):
                scores = _cosines(x, vectors[fold], maps)
                accuracies[point].append(held_out_accuracy(scores, own.labels[out], fold))
        return best_of(axes, accuracies, report)

    def _centred(self, moments: Moments) -> tuple[Moments, _Array]:
        return moments.centred() if self.params.centre else (moments, np.zeros(len(moments.second)))

    def _solutions(self, problem: Problem, grid: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], Maps]]:
        """Yield the maps of each (lambda, rho), or of each (lambda,); the points of one lambda follow one another."""
        p, last = self.params, None
        for strength, *inverse in grid:
            if p.mapping == "stl":
                yield (strength,), (problem.single(strength), None)
            elif p.mapping == "rmtl":
                yield (strength,), (problem.shared(strength, p.common), None)
            else:
                if strength != last:
                    last, (a, s, _) = strength, problem.factors(p.tasks, strength)
                maps = (s, name_map(a, inverse[0])) if inverse else (a @ s, None)
                yield (strength, *inverse), maps

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return where videos lie among the tasks, or among class vectors, (n, k)."""
        return (normalised(videos.pooled()) - self._mean) @ self._videos.T

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return where class vectors, scaled to unit length, lie there."""
        unit = normalised(vectors.astype(np.float64))
        return unit if self._names is None else unit @ self._names.T

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines between videos and names, (n_videos, n_classes)."""
        return normalised(self.embed(videos)) @ normalised(self.place(classes.vectors)).T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the features' mean and both maps."""
        state = {"mean": self._mean, "videos": self._videos}
        return state if self._names is None else state | {"names": self._names}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._mean, self._videos, self._names = state["mean"], state["videos"], state.get("names")


def _moments(seen: SeenVideos, n_classes: int) -> Moments:
    second, sums = class_moments(seen, n_classes, unit=True)
    return Moments(second, sums, np.bincount(seen.labels, minlength=n_classes).astype(np.float64))


def _weighted(seen: SeenVideos, n_classes: int, weights: _Array) -> Moments:
    """Return the moments of weighted videos, class by class, so that never all of them are held in float64."""
    if (weights == 1).all():
        return _moments(seen, n_classes)
    second, sums, counts = np.zeros((seen.dim, seen.dim)), np.zeros((n_classes, seen.dim)), np.zeros(n_classes)
    for label in np.unique(seen.labels):
        members = np.flatnonzero(seen.labels == label)
        x, w = normalised(seen.take(members).pooled()).astype(np.float64), weights[members]
        second += (x * w[:, None]).T @ x
        sums[label], counts[label] = w @ x, w.sum()
    return Moments(second, sums, counts)


def _cosines(x: _Array, vectors: _Array, maps: Maps) -> _Array:
    videos, names = maps
    return normalised(x @ videos.T) @ normalised(vectors if names is None else vectors @ names.T).T
