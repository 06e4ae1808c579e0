"""KDICA: attribute classifiers on components that are alike in all classes and aligned with the attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Budget, MethodInfo, Report
from zslbench.ranges import Range
from zslbench_methods._attributes import Array, AttributeParams, Model, attribute_classifiers
from zslbench_methods._selection import sample
from zslbench_methods.dap import DAP


class KDICA(DAP):
    """DAP on components of a Gaussian kernel that vary little between classes and align with the attributes.

    The components are the leading solutions of ``((1 - alignment) K K + alignment K A K / |A|) v = mu (invariance K L K
    + K + ridge I) v`` with K the centred kernel of the videos, A that of their attributes and L the variance over
    domains. Every class is a domain (Gan, Yang and Gong, CVPR 2016). With alignment 0 and invariance 1 this is UDICA
    (Muandet et al., ICML 2013).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task(budget=KDICA.info.budget)
    >>> method = KDICA()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="kdica",
        summary="Attribute classifiers on domain-invariant kernel components, every class a domain; scored as DAP.",
        citation="Gan, Yang and Gong, Learning Attributes Equals Multi-Source Domain Generalization, CVPR 2016",
        budget=frozenset({Budget.ATTRIBUTES}),
        reconstruction=True,
    )

    class Params(AttributeParams):
        """Parameters.

        Attributes
        ----------
        components
            Most components.
        alignment
            Weight, from 0 to 1, of the alignment with the attributes beside the variance of the videos.
        invariance
            Weight of the variance between classes, which is kept small.
        ridge
            Penalty of the squared length of v; it keeps out directions along which the kernel hardly varies.
        bandwidth
            Multiple of the median squared distance in the Gaussian kernel.
        landmarks
            Training videos, chosen at random, from which the kernel is approximated (Nystrom); exact where there are no
            more.
        """

        components: Annotated[int, Range(20, 300, log=True)] = Field(default=100, ge=1)
        alignment: Annotated[float, Range(0, 1)] = Field(default=0.5, ge=0, le=1)
        invariance: Annotated[float, Range(0.01, 100, log=True)] = Field(default=1.0, ge=0)
        ridge: Annotated[float, Range(0.01, 10, log=True)] = Field(default=0.1, ge=0)
        bandwidth: Annotated[float, Range(0.1, 10, log=True)] = Field(default=1.0, gt=0)
        landmarks: int = Field(default=1000, ge=2)

    def learn(
        self, x: Array, labels: NDArray[Any], values: Array, strengths: Sequence[float], report: Report
    ) -> Iterator[Model]:
        """Yield the components with a classifier of each attribute on them."""
        from zslbench_methods._dica import KernelFeatures, components

        p = self.params
        landmarks = x[sample(len(x), p.landmarks, self.seed)].astype(np.float64)
        kernel = KernelFeatures.of(landmarks, p.bandwidth)
        features = kernel(x)
        mean = features.mean(axis=0)
        features -= mean
        how = {"count": p.components, "alignment": p.alignment, "invariance": p.invariance, "ridge": p.ridge}
        directions = components(features, labels, values, **how)
        # As a whole of mean squared length 1, as features of DAP have: strengths then mean the same.
        size = np.sqrt(np.square(features @ directions).sum(axis=1).mean())
        directions /= size if size > 0 else 1.0
        where = {
            "landmarks": kernel.landmarks,
            "gamma": np.array(kernel.gamma),
            "projection": kernel.projection @ directions,
            "offset": mean @ directions,
        }
        places = (features @ directions).astype(np.float32)
        for model in attribute_classifiers(places, labels, values, strengths, p.max_iterations, report):
            yield model | where

    def log_posteriors(self, model: Model, x: Array) -> tuple[Array, Array]:
        """Return the logarithms of the posteriors of the classifiers on the components."""
        from zslbench_methods._dica import projected

        places = projected(x, model["landmarks"], float(model["gamma"]), model["projection"]) - model["offset"]
        return super().log_posteriors(model, places)
