"""TZS: kernel ridge regression with manifold regularisation, by the name that its authors gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from zslbench.method import MethodInfo
from zslbench_methods.pooled_krr import PooledKRR


class TZS(PooledKRR):
    """Transductive zero-shot action recognition (Xu, Hospedales and Gong, IJCV 2017), and its ICIP 2015 ancestor.

    The regressor is that of :class:`~zslbench_methods.pooled_krr.PooledKRR`, whose nearest-neighbour graph covers the
    training videos (inductive) or, in the preset ``transductive``, the unlabelled test videos too. The other parts of
    the paper are steps and options that work on top of any method: ``tzs+self-training``, ``tzs:transductive+nrm``,
    ``--auxiliary hmdb51@FEATURES``.

    References
    ----------
    .. [1] Xu, Hospedales, Gong. Transductive Zero-Shot Action Recognition by Word-Vector Embedding. IJCV, 2017.
    .. [2] Xu, Hospedales, Gong. Semantic Embedding Space for Zero-Shot Action Recognition. ICIP, 2015.

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = TZS()
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="tzs",
        summary="Kernel ridge regression on mean-pooled features, smooth over a graph of videos (TZS).",
        citation="Xu, Hospedales and Gong, Transductive Zero-Shot Action Recognition by Word-Vector Embedding, "
        "IJCV 2017; Semantic Embedding Space for Zero-Shot Action Recognition, ICIP 2015",
        reconstruction=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "transductive": {"laplacian": "train+test"},
        "icip2015": {"kernel": "chi2", "laplacian": "none"},
    }

    class Params(PooledKRR.Params):
        """Parameters of pooled-krr."""
