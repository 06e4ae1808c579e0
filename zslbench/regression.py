"""A base class that turns any scikit-learn multi-output regressor into a method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import derive_seed
from zslbench.kernels import centred, normalised
from zslbench.method import Classes, Method, MethodParams, Report, SeenVideos, Target, Videos


class SklearnRegression(Method):
    """Regress class vectors on mean-pooled features; the nearest class vector by cosine wins.

    A subclass returns a regressor, and nothing else is needed.

    If :meth:`candidates` returns several, the one with the best accuracy on held-out *seen classes* is used. With too
    few classes to hold any out, it is the first one, or the middle one where they are ``ordered``.

    Attributes
    ----------
    ordered
        Whether the candidates are in order, such as that of their strength. The fit then warns if it chooses the first
        or the last.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from zslbench import MethodInfo
    >>> class Mine(SklearnRegression):
    ...     info = MethodInfo(name="mine", summary="Ridge regression to class vectors.")
    ...     def regressor(self): return Ridge(alpha=0.1)
    >>> seen = SeenVideos.from_arrays(np.eye(3), labels=[0, 1, 2])
    >>> classes = Classes(("run", "walk", "jump"), np.eye(3, dtype=np.float32))
    >>> method = Mine(); method.fit(seen, classes, None, Report()); method.score(seen, classes).argmax(axis=1)
    array([0, 1, 2])
    """

    ordered: ClassVar[bool] = False
    _mean: Any = None  # of the seen class vectors, if it is subtracted

    class Params(MethodParams):
        """Parameters of every regression.

        Attributes
        ----------
        unit_features
            Whether to scale each video's mean-pooled feature to unit length.
        centre
            Whether to scale class vectors to unit length and subtract the mean of the seen ones. Fewer classes are
            hubs then: predictions shrink towards a mean that all class vectors share.
        folds
            Number of folds of seen classes for the comparison of candidates.
        """

        unit_features: bool = True
        centre: bool = False
        folds: int = Field(default=3, ge=2)

    @abstractmethod
    def regressor(self) -> Any:
        """Return an unfitted regressor with ``fit(X, Y)`` and ``predict(X)``, Y (n, d)."""

    def candidates(self) -> dict[str, Any]:
        """Return name -> unfitted regressor, to choose from on held-out seen classes."""
        return {"": self.regressor()}

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose a regressor on held-out seen classes if there is a choice, and fit it on all seen videos."""
        x = self._features(seen)
        candidates = self.candidates()
        chosen = list(candidates)[len(candidates) // 2 if self.ordered else 0]
        asked = len(candidates) > 1 and (self.validation is not None or len(classes) >= 2 * self.params.folds)
        found = self._held_out(x, seen.labels, classes, candidates, report) if asked else []
        if found:
            accuracies = {name: float(np.mean([each[name] for each in found])) for name in candidates}
            chosen = max(accuracies, key=lambda name: accuracies[name])
            report.note(chosen=chosen, held_out_top1_per_class=accuracies[chosen], held_out_folds=len(found))
            if len(found) > 1:
                report.note(held_out_sd=float(np.std([each[chosen] for each in found], ddof=1)))
            alone = list(accuracies.values()).count(accuracies[chosen]) == 1
            if self.ordered and alone:
                report.chosen("chosen", chosen, list(candidates))
        elif len(candidates) > 1:
            report.note(chosen=chosen, held_out_folds=0)
        self._centre(classes)
        self._regressor = self._fit_one(candidates[chosen], x, seen.labels, self._placed(classes))

    def _held_out(
        self, x: NDArray[Any], labels: NDArray[Any], classes: Classes, candidates: dict[str, Any], report: Report
    ) -> list[dict[str, float]]:
        """Return each candidate's per-class accuracy on classes that it was not fitted on.

        These are each fold of seen classes, or the family's validation classes.
        """
        from sklearn.base import clone

        if self.validation is not None:
            videos, held_out = self.validation
            report.progress(0, 1, "choosing on the family's validation classes")
            self._centre(classes)
            features, placed, held = self._features(videos), self._placed(classes), self._placed(held_out)
            models = {name: self._fit_one(clone(each), x, labels, placed) for name, each in candidates.items()}
            return [
                {
                    name: _per_class(self._score_one(model, features, held).argmax(axis=1), videos.labels)
                    for name, model in models.items()
                }
            ]
        order = np.random.default_rng(derive_seed(self.seed, "folds")).permutation(len(classes))
        outs = [(fold, np.isin(labels, fold)) for fold in np.array_split(order, self.params.folds)]
        folds = [(fold, out) for fold, out in outs if out.any() and not out.all()]
        found: list[dict[str, float]] = [{} for _ in folds]
        for i, (fold, out) in enumerate(folds):
            report.progress(i, len(folds), "choosing on held-out seen classes")
            self._centre(classes.take(np.setdiff1d(np.arange(len(classes)), fold)))
            placed = self._placed(classes)
            for name, candidate in candidates.items():
                model = self._fit_one(clone(candidate), x[~out], labels[~out], placed)
                predicted = fold[self._score_one(model, x[out], placed.take(fold)).argmax(axis=1)]
                found[i][name] = _per_class(predicted, labels[out])
        return found

    def _centre(self, classes: Classes) -> None:
        self._mean = normalised(classes.vectors).mean(axis=0) if self.params.centre else None

    def _fit_one(self, regressor: Any, x: NDArray[Any], labels: NDArray[Any], classes: Classes) -> Any:
        return regressor.fit(x, classes.vectors[labels])

    def _score_one(self, regressor: Any, x: NDArray[Any], classes: Classes) -> NDArray[np.floating[Any]]:
        return _cosines(regressor.predict(x), classes.vectors)

    def _features(self, videos: Videos) -> NDArray[np.float32]:
        return normalised(videos.pooled()) if self.params.unit_features else videos.pooled()

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return the predicted class vectors, (n, d)."""
        return np.asarray(self._regressor.predict(self._features(videos)))

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the cosines between predicted and given class vectors, (n_videos, n_classes)."""
        return self._score_one(self._regressor, self._features(videos), self._placed(classes))

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return class vectors as predictions are compared with them: less the seen ones' mean if ``centre``."""
        return vectors if self._mean is None else centred(vectors, self._mean)

    def _placed(self, classes: Classes) -> Classes:
        return replace(classes, vectors=np.asarray(self.place(classes.vectors), dtype=np.float32))

    def state(self) -> dict[str, NDArray[Any]]:
        """Return ``coef_`` and ``intercept_`` of a linear model, and the seen class vectors' mean if ``centre``.

        Raises
        ------
        NotImplementedError
            The regressor is not linear: override both methods in the subclass.
        """
        from sklearn.linear_model._base import LinearModel

        if not isinstance(self._regressor, LinearModel):
            raise NotImplementedError(
                f"{self.info.name} cannot be saved: {type(self._regressor).__name__} is no linear model of "
                f"scikit-learn, so its class must define state() and restore()"
            )
        state = {name: np.asarray(getattr(self._regressor, name)) for name in ("coef_", "intercept_")}
        return state if self._mean is None else state | {"mean": self._mean}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore the coefficients; every linear model of scikit-learn predicts by the same formula."""
        from sklearn.linear_model import LinearRegression

        self._regressor = LinearRegression()
        self._regressor.coef_, self._regressor.intercept_ = state["coef_"], state["intercept_"]
        self._mean = state.get("mean")


def _per_class(predicted: NDArray[Any], labels: NDArray[Any]) -> float:
    right = predicted == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))


def _cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.floating[Any]]:
    cosines: NDArray[np.floating[Any]] = normalised(np.asarray(a)) @ normalised(np.asarray(b)).T
    return cosines
