"""Steps that look at the unlabelled test videos: self-training of prototypes, and two corrections of hubness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.kernels import normalised
from zslbench.method import Budget, Classes, Method, MethodParams, Videos
from zslbench.ranges import Range
from zslbench.steps import Scores, Step, StepInfo, same_videos

_Array = NDArray[np.float64]
_ROUNDING = 1e-5  # of the largest score: a video must not outrank itself for having been scored in another batch
_DINU = "Dinu, Lazaridou and Baroni, Improving Zero-Shot Learning by Mitigating the Hubness Problem, ICLR workshop 2015"


class SelfTraining(Step):
    """Each class vector is replaced by the mean of the test videos nearest to it (Xu et al., ICIP 2015).

    ``g'(y) = 1 / K sum_{f(x) in NN_K(g(y))} f(x)`` with the method's embeddings f of the test videos, of unit length;
    the score is the cosine with g'. The nearest are those with the best scores: by the cosine with g(y) for a method
    that maps videos to class vectors, and corrected ones after a step such as ``nrm``. Where a method embeds no video,
    f is the mean-pooled feature less the test videos' mean.

    Examples
    --------
    >>> from zslbench.method import Report, Target
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = get_method("ridge+self-training")()
    >>> method.fit(task.train, task.seen_classes, Target(videos=task.test), Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = StepInfo(
        name="self-training",
        summary="each class becomes the mean of the K test videos nearest to it.",
        citation="Xu, Hospedales and Gong, Semantic Embedding Space for Zero-Shot Action Recognition, ICIP 2015",
    )
    test_params: ClassVar[Mapping[str, Any]] = {"neighbours": 3}  # with every test video, all classes are the same

    class Params(MethodParams):
        """Parameters.

        Attributes
        ----------
        neighbours
            K, or every test video where there are fewer.
        rounds
            How often; the released code of the paper does it twice.
        oracle
            Take the K among 1 to ``neighbours`` that labels most test videos rightly, as that code does: budget
            ``oracle``.
        """

        neighbours: Annotated[int, Range(5, 300, log=True)] = Field(default=100, ge=1)
        rounds: int = Field(default=1, ge=1)
        oracle: bool = False

    @property
    def budget(self) -> frozenset[Budget]:
        """Return the budget, with ``oracle`` where K is chosen by test labels."""
        return super().budget | ({Budget.ORACLE} if self.params.oracle else set())

    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return the cosines of videos and moved prototypes, (n_videos, n_classes)."""
        f, start, x = self._spaces(method, pivots, videos, classes)
        return normalised(x) @ normalised(self._moved(f, start, self.params.neighbours)).T

    def alternatives(
        self, method: Method, pivots: Videos, videos: Videos, classes: Classes
    ) -> Iterator[tuple[str, Scores]] | None:
        """Yield the scores of every K, for an oracle."""
        return self._every(*self._spaces(method, pivots, videos, classes)) if self.params.oracle else None

    def _every(self, f: _Array, start: Scores, x: _Array) -> Iterator[tuple[str, Scores]]:
        for k in range(1, min(self.params.neighbours, len(f)) + 1):
            yield f"K={k}", normalised(x) @ normalised(self._moved(f, start, k)).T

    def _spaces(
        self, method: Method, pivots: Videos, videos: Videos, classes: Classes
    ) -> tuple[_Array, Scores, _Array]:
        """Return the test videos' places, their first similarities with the classes, and the videos' places."""
        first = method.score(pivots, classes)
        try:
            f = _unit(method.embed(pivots))
        except NotImplementedError:
            mean = pivots.pooled().mean(axis=0)
            return _unit(pivots.pooled() - mean), first, _unit(videos.pooled() - mean)
        return f, first, f if same_videos(pivots, videos) else _unit(method.embed(videos))

    def _moved(self, f: _Array, similarities: Scores, k: int) -> _Array:
        """Return the moved prototypes, (n_classes, d)."""
        k, prototypes = min(k, len(f)), f
        for i in range(self.params.rounds):
            if i:
                similarities = f @ normalised(prototypes).T
            # Videos as near as the K-th count with it, so that their order carries no meaning.
            least = np.partition(similarities, -k, axis=0)[-k]
            near = (similarities >= least).T.astype(np.float64)
            prototypes = near / near.sum(axis=1, keepdims=True) @ f
        return prototypes


class NRM(Step):
    """``s'(x, y) = s(x, y) / sqrt(sum_{x' in P} s(x', y)^2)``, P the test videos: a class near to all of them loses.

    Examples
    --------
    >>> from zslbench.method import Report, Target
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = get_method("ridge+nrm")()
    >>> method.fit(task.train, task.seen_classes, Target(videos=task.test), Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = StepInfo(
        name="nrm",
        summary="each class's scores are divided by their norm over the test videos.",
        citation=_DINU,
        reconstruction=True,
    )

    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return the normalised scores, (n_videos, n_classes)."""
        of_pivots, scores = _both(method, pivots, videos, classes)
        norms = np.linalg.norm(of_pivots, axis=0)
        return scores / np.where(norms > 0, norms, 1)


class GloballyCorrected(Step):
    """``argmin_y Rank_{y, P}(x) - s(x, y)``: the rank of x among the test videos P for class y, ties broken by s.

    Scores that are no cosines are first divided by their greatest size over P. They then break ties as cosines do.

    Examples
    --------
    >>> from zslbench.method import Report, Target
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = get_method("ridge+gc")()
    >>> method.fit(task.train, task.seen_classes, Target(videos=task.test), Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = StepInfo(
        name="gc",
        summary="a video goes to the class for which it ranks highest among the test videos.",
        citation=_DINU,
        reconstruction=True,
    )

    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return ``s - Rank``, (n_videos, n_classes); the best test video of a class has rank 0."""
        of_pivots, scores = _both(method, pivots, videos, classes)
        largest = float(np.abs(of_pivots).max())
        ordered, reached = np.sort(of_pivots, axis=0), scores + _ROUNDING * largest
        ranks = [len(ordered) - np.searchsorted(ordered[:, j], reached[:, j], "right") for j in range(len(classes))]
        return scores / max(1.0, largest) - np.stack(ranks, axis=1)


def _both(method: Method, pivots: Videos, videos: Videos, classes: Classes) -> tuple[_Array, _Array]:
    """Return the method's scores of the test videos and of ``videos``."""
    scores = np.asarray(method.score(videos, classes), dtype=np.float64)
    same = same_videos(pivots, videos)
    return scores if same else np.asarray(method.score(pivots, classes), dtype=np.float64), scores


def _unit(x: NDArray[np.floating[Any]]) -> _Array:
    return normalised(np.asarray(x, dtype=np.float64))
