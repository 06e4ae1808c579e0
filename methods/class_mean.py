"""The nearest class mean: a video goes to the class whose mean training feature is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.kernels import normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench_methods._trained_classes import TrainedClasses


class NearestClassMean(Method):
    """``score = cos(x, m_c)``, m_c the mean of class c's training features of unit length.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(scores="trained")
    >>> method = NearestClassMean()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="nearest-class-mean",
        summary="Cosine with the mean training feature of each class that it was trained on.",
        citation="Wang et al., SimpleShot: Revisiting Nearest-Neighbor Classification for Few-Shot Learning, 2019",
        budget=frozenset(),
        scores="trained",
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        centre
            Whether to subtract the mean of all training features before all else, SimpleShot's CL2N.
        """

        centre: bool = False

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Average the features of each class."""
        self._classes, labels = TrainedClasses.of(classes, seen.labels)
        pooled = seen.pooled()
        self._shift = pooled.mean(axis=0) if self.params.centre else np.zeros(seen.dim, dtype=np.float32)
        sums = np.zeros((len(self._classes), seen.dim))
        np.add.at(sums, labels, self._features(seen))
        self._means = normalised(sums)

    def _features(self, videos: Videos) -> NDArray[np.float64]:
        return normalised((videos.pooled() - self._shift).astype(np.float64))

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines, (n_videos, n_classes).

        Raises
        ------
        ZslbenchError
            A class was not trained on.
        """
        return self._features(videos) @ self._means[self._classes.columns(classes, self.info.name)].T

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the class means, the mean that is subtracted, and the class names."""
        return {"means": self._means, "shift": self._shift, "names": self._classes.array}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._means, self._shift = state["means"], state["shift"]
        self._classes = TrainedClasses.restored(state["names"])
