"""Linear ridge regression between features and class vectors, in both directions."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import pairwise
from zslbench.method import Classes, Method, MethodInfo
from zslbench.ranges import Range
from zslbench.regression import SklearnRegression

_STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)


class _RidgeParams(SklearnRegression.Params):
    """Parameters of ridge regression.

    Attributes
    ----------
    alpha
        Strength of the penalty; ``None`` chooses among 0.1 to 1000 on held-out seen classes.
    """

    alpha: Annotated[float | None, Range(0.01, 10_000, log=True)] = Field(default=None, gt=0)


class Ridge(SklearnRegression):
    """Ridge regression from mean-pooled features to class vectors.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = Ridge()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="ridge",
        summary="Linear ridge regression from mean-pooled features to class vectors.",
        citation="Hoerl and Kennard, Technometrics 1970",
    )
    Params = _RidgeParams
    ordered = True

    def regressor(self) -> Any:
        """Return scikit-learn's ridge with the chosen strength (1 where none is)."""
        from sklearn.linear_model import Ridge as SklearnRidge

        return SklearnRidge(alpha=1.0 if self.params.alpha is None else self.params.alpha)

    def candidates(self) -> dict[str, Any]:
        """Return one ridge per strength."""
        if self.params.alpha is not None:
            return super().candidates()
        return {f"alpha={alpha:g}": self.regressor().set_params(alpha=alpha) for alpha in _STRENGTHS}


class ReverseRidge(Ridge):
    """Ridge regression from class vectors to features: the nearest *predicted prototype* wins.

    Searching in feature space makes fewer classes hubs (Shigeto et al., ECML 2015).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = ReverseRidge()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="reverse-ridge",
        summary="Linear ridge regression from class vectors to features; nearest predicted prototype.",
        citation="Shigeto et al., Ridge regression, hubness, and zero-shot learning, ECML 2015",
    )
    embed = Method.embed  # class vectors are mapped to features, not videos to class vectors

    def _fit_one(self, regressor: Any, x: NDArray[Any], labels: NDArray[Any], classes: Classes) -> Any:
        return regressor.fit(classes.vectors[labels], x)

    def _score_one(self, regressor: Any, x: NDArray[Any], classes: Classes) -> NDArray[np.floating[Any]]:
        return -pairwise(x, np.asarray(regressor.predict(classes.vectors), dtype=np.float32), "sqeuclidean")
