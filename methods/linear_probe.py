"""The linear probe: logistic regression on frozen features."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import normalised
from zslbench.method import Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._held_out_videos import best_on_held_out_videos
from zslbench_methods._selection import Axis
from zslbench_methods._trained_classes import TrainedClasses

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)


class LinearProbe(Method):
    """Multinomial logistic regression with an L2 penalty, ``min_W C sum_i loss(W x_i, y_i) + |W|^2 / 2``.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(scores="trained")
    >>> method = LinearProbe()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="linear-probe",
        summary="Logistic regression on mean-pooled features, for the classes that it was trained on.",
        citation="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
        budget=frozenset(),
        scores="trained",
    )

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        c
            scikit-learn's ``C``, the inverse of the penalty's strength; ``None`` chooses among 0.1 to 10,000 on
            held-out training videos, by whole source groups.
        unit_features
            Whether to scale each video's mean-pooled feature to unit length.
        folds
            Folds of training videos for each choice.
        selection_videos
            Training videos that such a choice looks at, at most.
        max_iter
            Most iterations of L-BFGS.
        """

        c: Annotated[float | None, Range(0.1, 10_000, log=True)] = Field(default=None, gt=0)
        unit_features: bool = True
        folds: int = Field(default=3, ge=2)
        selection_videos: int = Field(default=4000, ge=1)
        max_iter: int = Field(default=1000, ge=1)

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose the penalty on held-out training videos, and fit it on all."""
        params = self.params
        self._classes, labels = TrainedClasses.of(classes, seen.labels)
        axis, n = Axis.of("c", params.c, STRENGTHS), len(self._classes)

        def path(known: SeenVideos, tested: Videos) -> Iterator[NDArray[np.floating[Any]]]:
            x, y = self._features(tested), self._features(known)
            for weights, bias in self._path(y, known.labels, axis.choices, n, Report()):
                yield x @ weights.T + bias

        how = {"folds": params.folds, "videos": params.selection_videos, "seed": self.seed}
        (c,) = best_on_held_out_videos((axis,), path, seen.relabel(labels), n, report, **how)
        ((self._weights, self._bias),) = self._path(self._features(seen), labels, (c,), n, report)

    def _path(
        self, x: NDArray[Any], labels: NDArray[Any], strengths: tuple[float, ...], n: int, report: Report
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Yield weights (n_classes, D) and bias (n_classes,) of each strength, each fit from the last one's end."""
        from sklearn.linear_model import LogisticRegression

        present = np.unique(labels)
        if len(present) < 2:
            yield from ((np.zeros((n, x.shape[1])), np.zeros(n)) for _ in strengths)
            return
        model = LogisticRegression(max_iter=self.params.max_iter, warm_start=True)
        for c in strengths:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of few videos per class, and of the iterations, which is said below
                model.set_params(C=c).fit(x, labels)
            if int(np.max(model.n_iter_)) >= self.params.max_iter:
                report.warn(f"logistic regression with c={c:g} did not converge in {self.params.max_iter} iterations")
            own, own_bias = model.coef_, model.intercept_
            if len(present) == 2:  # scikit-learn keeps one row: the log odds of the second class
                own, own_bias = np.concatenate([-own, own]), np.concatenate([-own_bias, own_bias])
            # A choice on some of the videos may lack classes, which it then never predicts.
            weights, bias = np.zeros((n, x.shape[1])), np.full(n, -np.inf)
            weights[present], bias[present] = own, own_bias
            yield weights, bias

    def _features(self, videos: Videos) -> NDArray[np.float64]:
        x = normalised(videos.pooled()) if self.params.unit_features else videos.pooled()
        return x.astype(np.float64)

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the log odds up to a number that a video's classes share, (n_videos, n_classes).

        Raises
        ------
        ZslbenchError
            A class was not trained on.
        """
        columns = self._classes.columns(classes, self.info.name)
        scores: NDArray[np.float64] = self._features(videos) @ self._weights[columns].T + self._bias[columns]
        return scores

    def state(self) -> dict[str, NDArray[Any]]:
        """Return weights, bias and class names."""
        return {"weights": self._weights, "bias": self._bias, "names": self._classes.array}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        self._weights, self._bias = state["weights"], state["bias"]
        self._classes = TrainedClasses.restored(state["names"])
