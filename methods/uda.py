"""UDA: sparse codes among class vectors, by a dictionary that is adapted to the unlabelled test videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods.conse import ConSE

_Array = NDArray[np.float64]


class UDA(Method):
    """Unsupervised domain adaptation by regularised sparse coding.

    The source dictionary minimises ``||X_s - D_s Y_s||^2 + gamma ||D_s||^2`` with Y_s the class vectors of the seen
    videos. The target's dictionary and codes minimise, in turns, ``||X_t - D_t Y_t||^2 + lambda_1 ||D_t - D_s||^2 +
    lambda_2 sum_ij w_ij ||y_i - p_j||^2 + lambda_3 ||Y_t||_1`` with p_j the class vectors of the target's classes. No
    atom (column) of a dictionary is longer than 1 (Kodirov, Xiang, Fu and Gong, ICCV 2015).

    Examples
    --------
    >>> from zslbench.method import Report, Target
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = UDA()
    >>> method.fit(task.train, task.seen_classes, Target(classes=task.test_classes, videos=task.test), Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="uda",
        summary="Sparse codes among class vectors, by a dictionary that is adapted to the unlabelled test videos.",
        citation="Kodirov, Xiang, Fu and Gong, Unsupervised Domain Adaptation for Zero-Shot Learning, ICCV 2015",
        budget=frozenset({Budget.CLASS_VECTORS, Budget.UNSEEN_NAMES, Budget.UNSEEN_VIDEOS}),
        reconstruction=True,
    )
    test_params: ClassVar = {"rounds": 2}

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        gamma
            Strength of the ridge on the source dictionary, per video.
        lambda_1
            Strength of the target dictionary's tie to the source's, per video.
        lambda_2
            Strength of the pull to class vectors.
        lambda_3
            Strength of sparsity.
        weights
            Where w_ij comes from: ``source``, the cosine of a feature and the source dictionary's D_s p_j. ``iap``, the
            cosine of p_j and the class vectors of the seen classes that a classifier finds in the video.
        temperature
            w_ij is the softmax over j of these cosines divided by it.
        rounds
            Times that codes are computed; the dictionary changes in between.
        labels
            ``nearest`` scores by the cosine of code and class vector, ``propagation`` spreads these scores over the
            graph of the scored videos' nearest neighbours among codes.
        neighbours
            Neighbours of a video in the graph of ``propagation``.
        spread
            Share of a video's score that comes from its neighbours.
        """

        gamma: Annotated[float, Range(0.01, 1, log=True)] = Field(default=0.1, gt=0)
        lambda_1: Annotated[float, Range(0.005, 0.5, log=True)] = Field(default=0.05, gt=0)
        lambda_2: Annotated[float, Range(0.01, 1, log=True)] = Field(default=0.1, gt=0)
        lambda_3: float = Field(default=0.01, ge=0)
        weights: Literal["source", "iap"] = "source"
        temperature: float = Field(default=0.1, gt=0)
        rounds: int = Field(default=2, ge=1)
        labels: Literal["nearest", "propagation"] = "nearest"
        neighbours: Annotated[int, Range(3, 50, log=True)] = Field(default=10, ge=1)
        spread: float = Field(default=0.8, ge=0, lt=1)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Solve for the source dictionary, then adapt it to the target's videos and classes."""
        from zslbench_methods._uda import bounded_dictionary, objective, sparse_codes

        if target is None or target.classes is None or target.videos is None:
            raise ZslbenchError("uda adapts to the test: it needs the unseen classes and their unlabelled videos.")
        p = self.params
        self._mean = _unit(seen.pooled()).mean(axis=0)
        self._prototypes = _unit(target.classes.vectors)
        y = _unit(classes.vectors)[seen.labels]
        self._source = bounded_dictionary(_plus_diagonal(y.T @ y, p.gamma * len(y)), self._features(seen).T @ y)
        self._iap = None
        if p.weights == "iap":
            self._iap = ConSE({"top": len(classes), "strength": 1e-3}, seed=self.seed)
            self._iap.fit(seen, classes, None, report)
        x, pull = self._features(target.videos), self._pull(target.videos)
        tie = p.lambda_1 * len(x)
        self._dictionary, codes = self._source, None
        for i in range(p.rounds):
            report.progress(i, p.rounds, "rounds")
            if codes is not None:
                gram, cross = codes.T @ codes, x.T @ codes
                self._dictionary = bounded_dictionary(_plus_diagonal(gram, tie), cross + tie * self._source)
            codes = sparse_codes(x, self._dictionary, pull, p.lambda_2, p.lambda_3, start=codes)
            strengths = (tie, p.lambda_2, p.lambda_3)
            report.epoch(objective=objective(x, codes, self._dictionary, self._source, pull, strengths) / len(x))

    def _features(self, videos: Videos) -> _Array:
        """Return features of unit length, less the mean of the seen videos', (n, D)."""
        centred: _Array = _unit(videos.pooled()) - self._mean
        return centred

    def _pull(self, videos: Videos) -> _Array:
        """Return ``sum_j w_ij p_j``, (n, d)."""
        from scipy.special import softmax

        if self._iap is not None:
            names = tuple(map(str, range(len(self._prototypes))))
            cosines = self._iap.score(videos, Classes(names, self._prototypes.astype(np.float32)))
        else:
            cosines = normalised(self._features(videos)) @ normalised(self._prototypes @ self._source.T).T
        return np.asarray(softmax(cosines / self.params.temperature, axis=1) @ self._prototypes)

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return the codes by the adapted dictionary, (n, d); the target's class vectors pull those of any videos."""
        from zslbench_methods._uda import sparse_codes

        p = self.params
        x, pull = self._features(videos), self._pull(videos)
        return sparse_codes(x, self._dictionary, pull, p.lambda_2, p.lambda_3, tolerance=1e-4)

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return vectors of unit length: what seen videos were coded as."""
        return normalised(vectors)

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines of codes and class vectors, (n_videos, n_classes), spread over videos where asked for."""
        from zslbench_methods._uda import propagated

        p = self.params
        codes = _unit(self.embed(videos))
        scores = codes @ _unit(classes.vectors).T
        return propagated(scores, codes, p.neighbours, p.spread) if p.labels == "propagation" else scores

    def state(self) -> dict[str, NDArray[Any]]:
        """Return both dictionaries, the target's class vectors and the mean feature, and the IAP classifier's state."""
        iap = {} if self._iap is None else {_IAP + name: value for name, value in self._iap.state().items()}
        parts = {"mean": self._mean, "source": self._source, "dictionary": self._dictionary}
        return parts | {"prototypes": self._prototypes} | iap

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._mean, self._source = state["mean"], state["source"]
        self._dictionary, self._prototypes = state["dictionary"], state["prototypes"]
        self._iap = ConSE() if self.params.weights == "iap" else None
        if self._iap is not None:
            self._iap.restore({n.removeprefix(_IAP): value for n, value in state.items() if n.startswith(_IAP)})


_IAP = "iap."  # before the names of the classifier's arrays in a saved state


def _unit(x: NDArray[np.floating[Any]]) -> _Array:
    return normalised(np.asarray(x, dtype=np.float64))


def _plus_diagonal(matrix: _Array, value: float) -> _Array:
    return matrix + value * np.eye(len(matrix))
