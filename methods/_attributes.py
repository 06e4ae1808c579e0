"""Class attributes as methods read them, and what DAP, IAP and KDICA share: choosing, fitting, scoring by them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.errors import ZslbenchError
from zslbench.kernels import normalised
from zslbench.method import Classes, Method, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.ranges import Range
from zslbench_methods._linear import BinaryProblems
from zslbench_methods._selection import Axis, best_on_held_out

STRENGTHS = (1e-4, 1e-3, 1e-2)
_BLOCK = 4096  # videos scored at a time: each has a posterior per attribute
Array = NDArray[np.floating[Any]]
Model = dict[str, NDArray[Any]]
Reading = Literal["binary", "probability"]


@dataclass(frozen=True)
class AttributeReader:
    """How attributes are read; all of it is learnt from seen classes.

    Attributes
    ----------
    threshold
        (n_attributes,) mean over the seen classes.
    learnable
        (n_attributes,) bool: those k that differ among the seen classes.
    prior
        (k,) mean over the seen classes of what is read.
    """

    threshold: Array
    learnable: NDArray[np.bool_]
    prior: Array

    @classmethod
    def of(cls, classes: Classes, reading: Reading) -> AttributeReader:
        """Return how to read attributes, from the seen classes that have videos."""
        given = attributes_of(classes)
        values = _read(given, given.mean(axis=0), reading)
        learnable = values.min(axis=0) < values.max(axis=0)
        return cls(given.mean(axis=0), learnable, values[:, learnable].mean(axis=0))

    def read(self, classes: Classes, reading: Reading) -> Array:
        """Return the learnable attributes of any classes, (n_classes, k), from 0 to 1."""
        return _read(attributes_of(classes), self.threshold, reading)[:, self.learnable]


def attributes_of(classes: Classes) -> NDArray[np.float64]:
    """Return the classes' attributes, (n_classes, n_attributes).

    Raises
    ------
    ZslbenchError
        The classes came without attributes.
    """
    if classes.attributes is None:
        raise ZslbenchError("the classes come without attributes, which this method reads; give some to the run.")
    return np.asarray(classes.attributes, dtype=np.float64)


def _read(given: NDArray[np.float64], threshold: Array, reading: Reading) -> Array:
    if reading == "binary":
        return (given > threshold).astype(np.float64)
    if given.min(initial=0) < 0 or given.max(initial=1) > 1:
        raise ZslbenchError(
            f"attributes range over {given.min():g}..{given.max():g}, so they are no probabilities; "
            f"leave attributes=binary, which puts a threshold at the mean of each."
        )
    return given


def attribute_scores(yes: Array, no: Array, values: Array, prior: Array) -> Array:
    """Return ``sum_m log p(a_m = a_m^c | x) - log p(a_m = a_m^c)``, (n_videos, n_classes).

    A value a between 0 and 1 takes the share a of the one summand and 1 - a of the other.

    Parameters
    ----------
    yes, no
        (n_videos, k) log posteriors of having each attribute and of lacking it.
    values
        (n_classes, k) attributes a^c, from 0 to 1.
    prior
        (k,) probability of each.
    """
    has, lacks = yes - np.log(prior), no - np.log1p(-prior)
    return np.asarray((has - lacks) @ values.T + lacks.sum(axis=1, keepdims=True))


class AttributeParams(MethodParams):
    """Parameters of every method that scores by attributes.

    Attributes
    ----------
    attributes
        ``binary``: a class has an attribute where its value is above the mean over the seen classes. Zeros and ones
        stay as they are. ``probability``: values from 0 to 1 are taken as they are.
    strength
        Classifiers minimise the mean loss plus strength / 2 times the squared weights; ``None`` chooses among 1e-4 to
        1e-2 on held-out seen classes.
    max_iterations
        Most iterations of a classifier's optimiser.
    folds
        Folds of seen classes for each choice on held-out ones.
    selection_videos
        Training videos that such a choice looks at, at most.
    """

    attributes: Reading = "binary"
    strength: Annotated[float | None, Range(1e-5, 0.1, log=True)] = Field(default=None, gt=0)
    max_iterations: int = Field(default=500, ge=1)
    folds: int = Field(default=3, ge=2)
    selection_videos: int = Field(default=2000, ge=10)


class AttributeMethod(Method):
    """A method that scores a class by the posteriors of its attributes, as in Lampert et al. (CVPR 2009)."""

    class Params(AttributeParams):
        """Parameters of every such method."""

    @abstractmethod
    def learn(
        self, x: Array, labels: NDArray[Any], values: Array, strengths: Sequence[float], report: Report
    ) -> Iterator[Model]:
        """Yield what is learnt with each strength from features (n, D), labels and attributes (n_classes, k)."""

    @abstractmethod
    def log_posteriors(self, model: Model, x: Array) -> tuple[Array, Array]:
        """Return the (n, k) log posteriors of having each attribute and of lacking it."""

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Choose the strength on held-out seen classes, then learn from all of them."""
        p = self.params
        axis = Axis.of("strength", p.strength, STRENGTHS)

        def scores(known: SeenVideos, classes: Classes, videos: Videos, held_out: Classes) -> Iterator[Array]:
            reader, models = self._learn(known, classes, axis.choices, Report())
            for model in models:
                yield self._scores(reader, model, videos, held_out)

        how = {"method": self, "folds": p.folds, "videos": p.selection_videos}
        (strength,) = best_on_held_out([axis], scores, seen, classes, report, **how)
        self._reader, models = self._learn(seen, classes, (strength,), report)
        if not len(self._reader.prior):
            raise ZslbenchError("no attribute differs among the seen classes, so that none can be learnt.")
        (self._model,) = models
        report.note(attributes=len(self._reader.prior))

    def _learn(
        self, seen: SeenVideos, classes: Classes, strengths: Sequence[float], report: Report
    ) -> tuple[AttributeReader, Iterator[Model]]:
        present, labels = np.unique(seen.labels, return_inverse=True)
        classes = classes.take(present)
        reader = AttributeReader.of(classes, self.params.attributes)
        values = reader.read(classes, self.params.attributes)
        return reader, self.learn(normalised(seen.pooled()), labels, values, strengths, report)

    def _scores(self, reader: AttributeReader, model: Model, videos: Videos, classes: Classes) -> Array:
        x, values = normalised(videos.pooled()), reader.read(classes, self.params.attributes)
        scores = np.empty((len(x), len(values)))
        for start in range(0, len(x), _BLOCK):
            yes, no = self.log_posteriors(model, x[start : start + _BLOCK])
            scores[start : start + _BLOCK] = attribute_scores(yes, no, values, reader.prior)
        return scores

    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return the log posteriors of the classes' attributes, less their priors, (n_videos, n_classes)."""
        return self._scores(self._reader, self._model, videos, classes)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return how attributes are read, and what was learnt."""
        return {**vars(self._reader), **self._model}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take both back."""
        own = [field.name for field in fields(AttributeReader)]
        self._reader = AttributeReader(**{name: state[name] for name in own})
        self._model = {name: array for name, array in state.items() if name not in own}


def attribute_classifiers(
    x: Array, labels: NDArray[Any], values: Array, strengths: Sequence[float], max_iterations: int, report: Report
) -> Iterator[Model]:
    """Yield a logistic regression of each attribute, with each strength: weights (k, D) and bias (k,).

    Parameters
    ----------
    x, labels
        (n, D) features and (n,) places in ``values``.
    values
        (n_classes, k) attributes; those with the same values in all seen classes are fitted once.
    """
    different, place = np.unique(values.astype(x.dtype), axis=1, return_inverse=True)
    place = place.ravel()  # numpy 2.0 gives it two axes
    problems = BinaryProblems(x)
    for strength in strengths:
        found = problems.solve(different[labels], strength, "logistic", max_iterations)
        if not found.converged:
            report.warn(f"some attribute classifiers had not converged after {max_iterations} iterations.")
        yield {"weights": found.weights[place], "bias": found.bias[place]}
