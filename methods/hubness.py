"""Steps against hubness that look at seen training videos only: centring, CSLS and the inverted softmax.

A class that is near to many seen videos is a hub, and its scores are lowered. No test video but the scored one counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import Classes, Method, MethodParams, Videos
from zslbench.steps import Scores, Step, StepInfo


class Centring(Step):
    """``s'(x, y) = s(x, y) - mean_{p in P} s(p, y)``, P the seen training videos.

    For inner products this is the similarity less that of the centroid of P (Suzuki et al., 2013).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = get_method("ridge+centring")()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = StepInfo(
        name="centring",
        summary="each class's scores, less their mean over the seen training videos.",
        citation="Suzuki, Hara, Shimbo, Saerens and Fukumizu, Centering Similarity Measures to Reduce Hubs, EMNLP 2013",
    )
    inductive = True

    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return the centred scores, (n_videos, n_classes)."""
        scores: Scores = _scores(method, videos, classes) - _scores(method, pivots, classes).mean(axis=0)
        return scores


class CSLS(Step):
    """``s'(x, y) = 2 s(x, y) - mean_{p in NN_K(y)} s(p, y)``, NN_K(y) the K seen training videos nearest to y.

    Cross-domain similarity local scaling (Conneau et al., ICLR 2018) also subtracts the mean of x's scores of its K
    nearest classes. That is the same for all classes of a video, so it is left out.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = get_method("ridge+csls")()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = StepInfo(
        name="csls",
        summary="twice each class's scores, less the mean of its K best scores among the seen training videos.",
        citation="Conneau, Lample, Ranzato, Denoyer and Jegou, Word Translation Without Parallel Data, ICLR 2018",
    )
    inductive = True

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        neighbours
            K, or every seen training video where there are fewer.
        """

        neighbours: int = Field(default=10, ge=1)

    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return the scores with local scaling, (n_videos, n_classes)."""
        of_pivots = _scores(method, pivots, classes)
        k = min(self.params.neighbours, len(of_pivots))
        nearest = np.partition(of_pivots, -k, axis=0)[-k:]
        scores: Scores = 2 * _scores(method, videos, classes) - nearest.mean(axis=0)
        return scores


class InvertedSoftmax(Step):
    """``s'(x, y) = beta s(x, y) - log mean_{p in P} exp(beta s(p, y))``, P the seen training videos.

    Its exponential is the softmax over videos instead of classes, up to a factor of all scores (Smith et al., ICLR
    2017).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = get_method("ridge+inverted-softmax")()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = StepInfo(
        name="inverted-softmax",
        summary="each class's scores, less the logarithm of their mean exponential over the seen training videos.",
        citation="Smith, Turban, Hamblin and Hammerla, Offline Bilingual Word Vectors, Orthogonal Transformations and "
        "the Inverted Softmax, ICLR 2017",
    )
    inductive = True

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        sharpness
            beta. Near 0 only the mean counts, as in ``centring``, and a great one makes the nearest video count alone.
            The default is for cosines.
        """

        sharpness: float = Field(default=10.0, gt=0)

    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return the logarithms of the inverted softmax, (n_videos, n_classes)."""
        from scipy.special import logsumexp

        beta, of_pivots = self.params.sharpness, _scores(method, pivots, classes)
        of_class = logsumexp(beta * of_pivots, axis=0) - np.log(len(of_pivots))
        scores: Scores = beta * _scores(method, videos, classes) - of_class
        return scores


def _scores(method: Method, videos: Videos, classes: Classes) -> NDArray[np.float64]:
    scores: NDArray[Any] = method.score(videos, classes)
    return np.asarray(scores, dtype=np.float64)
