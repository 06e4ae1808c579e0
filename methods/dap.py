"""DAP and IAP: classes are recognised by attributes, which are predicted directly or by way of the seen classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Budget, MethodInfo, Report
from zslbench_methods._attributes import Array, AttributeMethod, AttributeParams, Model, attribute_classifiers
from zslbench_methods._linear import multinomial, probabilities

_CITATION = "Lampert, Nickisch and Harmeling, CVPR 2009; IEEE TPAMI 36(3), 2014"


class DAP(AttributeMethod):
    """Direct attribute prediction: ``score = sum_m log p(a_m^c | x) - log p(a_m^c)`` for a class with attributes a^c.

    p(a_m | x) is a logistic regression of attribute m on mean-pooled features of unit length. p(a_m) is the share of
    the seen classes that have it (Lampert et al., CVPR 2009). Attributes that do not differ among the seen classes are
    left out.

    References
    ----------
    .. [1] Lampert, Nickisch, Harmeling. Learning to Detect Unseen Object Classes by Between-Class Attribute Transfer.
       CVPR, 2009.
    .. [2] Lampert, Nickisch, Harmeling. Attribute-Based Classification for Zero-Shot Visual Object Categorization.
       IEEE TPAMI 36(3), 2014.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(budget=DAP.info.budget)
    >>> method = DAP()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="dap",
        summary="Direct attribute prediction: one classifier an attribute, classes by their attributes' posteriors.",
        citation=_CITATION,
        budget=frozenset({Budget.ATTRIBUTES}),
    )

    def learn(
        self, x: Array, labels: NDArray[Any], values: Array, strengths: Sequence[float], report: Report
    ) -> Iterator[Model]:
        """Yield a classifier of each attribute."""
        return attribute_classifiers(x, labels, values, strengths, self.params.max_iterations, report)

    def log_posteriors(self, model: Model, x: Array) -> tuple[Array, Array]:
        """Return the logarithms of the classifiers' posteriors."""
        from scipy.special import log_expit

        logits = x @ model["weights"].T + model["bias"]
        return log_expit(logits), log_expit(-logits)


class IAP(AttributeMethod):
    """Indirect attribute prediction: DAP's score with ``p(a_m | x) = sum_k p(y_k | x) a_m^k`` over the seen classes.

    p(y | x) is a multinomial logistic regression on mean-pooled features of unit length (Lampert et al., CVPR 2009).

    The equations are those of Lampert et al. (CVPR 2009).

    References
    ----------
    .. [1] Lampert, Nickisch, Harmeling. Learning to Detect Unseen Object Classes by Between-Class Attribute Transfer.
       CVPR, 2009.
    .. [2] Lampert, Nickisch, Harmeling. Attribute-Based Classification for Zero-Shot Visual Object Categorization.
       IEEE TPAMI 36(3), 2014.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(budget=IAP.info.budget)
    >>> method = IAP()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="iap",
        summary="Indirect attribute prediction: attributes' posteriors from those of the seen classes.",
        citation=_CITATION,
        budget=frozenset({Budget.ATTRIBUTES}),
    )

    class Params(AttributeParams):
        """Parameters.

        Attributes
        ----------
        floor
            Least posterior of having and of lacking an attribute: a single one may not rule a class out.
        """

        floor: float = Field(default=0.01, gt=0, lt=0.5)

    def learn(
        self, x: Array, labels: NDArray[Any], values: Array, strengths: Sequence[float], report: Report
    ) -> Iterator[Model]:
        """Yield a classifier of the seen classes, and their attributes."""
        for strength in strengths:
            found, _ = multinomial(x.astype(np.float64), labels, strength, self.params.max_iterations)
            if not found.converged:
                report.warn(f"the classifier had not converged after {self.params.max_iterations} iterations.")
            yield {"weights": found.weights, "bias": found.bias, "values": values}

    def log_posteriors(self, model: Model, x: Array) -> tuple[Array, Array]:
        """Return the logarithms of what the seen classes' posteriors make of each attribute."""
        share = probabilities(x, model["weights"], model["bias"]) @ model["values"]
        share = np.clip(share, self.params.floor, 1 - self.params.floor)
        return np.log(share), np.log1p(-share)
