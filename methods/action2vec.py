"""Action2Vec and its two ablations: recurrent networks that embed videos among class vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.method import MethodInfo
from zslbench.ranges import Choices, Range
from zslbench_methods._training import TrainedMethod, TrainingParams

if TYPE_CHECKING:
    import torch

# The paper as literally as it can be read. It gives no learning rate and no number of epochs; this loss learns slowly.
PAPER: dict[str, Any] = {
    "mask_padding": False,
    "input_scale": "none",
    "centre": False,
    "pr_form": "literal",
    "pr_margin": 0.0,
    "pr_negatives": "batch",
    "pr_dirs": "both",
    "pr_reduce": "sum",
    "pr_positive": 1.0,
    "mining": "hardest",
    "ce": "bce",
    "lambda_ce": 0.02,
    "lambda_before": 0.0,
    "lambda_start_frac": 0.75,
    "dropout": 0.5,
    "input_dropout": 0.0,
    "batch_size": 64,
    "epochs": 5,
    "patience": 2,
    "validation_fraction": 0.2,
}
COSINE_ONLY: dict[str, Any] = {"pr_negatives": "none", "pr_positive": 1.0, "lambda_ce": 0.0}

_CITATION = "Hahn, Silva, Rehg. Action2Vec: A Crossmodal Embedding Approach to Action Learning. arXiv:1901.00484, 2019."


class RecurrentParams(TrainingParams):
    """Parameters shared by the recurrent methods; ``docs/methods/action2vec.md`` says where each comes from.

    Attributes
    ----------
    n_slots
        Frames of a video that are looked at; the rest is cut off.
    mask_padding
        Leave absent slots out; otherwise they are computed as frames of zeros.
    hidden1
        Size of the first LSTM's state.
    hidden2
        Size of the second LSTM's state.
    dropout
        Dropout of what the first LSTM emits.
    input_dropout
        Dropout of the frames.
    pr_form
        What a negative costs in the ranking loss, with s+ and s- the cosines of the pair and of the negative.
        ``literal``: max(0, s- - margin), as in the equation. ``hinge``: max(0, margin - s+ + s-). ``softmax``: -log of
        the pair's share in exp(s / temperature).
    pr_margin
        Margin of ``literal`` and ``hinge``.
    pr_temperature
        Temperature of ``softmax``.
    pr_negatives
        ``none``: the ranking loss is 1 - s+ alone. ``batch``: the batch's other videos and names are negatives.
        ``classes``: all training classes instead of the batch's names.
    mining
        ``none``: all negatives count. ``hardest``: the one with the highest cosine. ``semi``: the highest below s+.
    pr_dirs
        Names as negatives of a video (``text``), videos as negatives of a name (``video``), or both.
    pr_reduce
        Whether the costs of negatives add up or are averaged. With ``sum``, the positive term counts once for each.
    pr_positive
        Weight of the positive term, 1 - s+.
    ce
        Classification loss: a binary cross entropy per class (``bce``), or one over all classes.
    lambda_ce
        Weight of the classification loss.
    lambda_before
        Weight of the classification loss before ``lambda_ce`` counts.
    lambda_start_frac
        Share of the first epoch after which ``lambda_ce`` counts.
    """

    batch_size: int = Field(32, ge=1)
    epochs: int = Field(1, ge=1)
    validation_fraction: float = Field(0.0, ge=0, lt=1)
    n_slots: int = Field(52, ge=1)
    mask_padding: Annotated[bool, Choices()] = True
    hidden1: int = Field(1024, ge=1)
    hidden2: int = Field(512, ge=1)
    dropout: Annotated[float, Range(0, 0.8)] = Field(0.5, ge=0, lt=1)
    input_dropout: float = Field(0.0, ge=0, lt=1)
    pr_form: Literal["literal", "hinge", "softmax"] = "literal"
    pr_margin: float = 0.0
    pr_temperature: float = Field(0.1, gt=0)
    pr_negatives: Literal["none", "batch", "classes"] = "none"
    pr_dirs: Literal["both", "video", "text"] = "both"
    pr_reduce: Literal["sum", "mean"] = "mean"
    pr_positive: float = Field(1.0, ge=0)
    mining: Literal["none", "hardest", "semi"] = "hardest"
    ce: Literal["bce", "softmax"] = "bce"
    lambda_ce: Annotated[float, Range(1e-3, 1, log=True)] = Field(0.02, ge=0)
    lambda_before: float = Field(0.0, ge=0)
    lambda_start_frac: float = Field(0.75, ge=0)


class HRNNParams(RecurrentParams):
    """Parameters of the hierarchical network.

    Attributes
    ----------
    seg_len
        Frames per segment.
    tail
        Whether an incomplete last segment is padded or dropped.
    attn_at
        Which LSTM attends: the first, the second, both or none.
    attn_scope
        Whether the first LSTM looks at its segment or at the whole video.
    attn_units
        Size of the attention.
    """

    seg_len: int = Field(6, ge=1)
    tail: Annotated[Literal["pad", "drop"], Choices()] = "pad"
    attn_at: Literal["none", "l1", "l2", "both"] = "both"
    attn_scope: Literal["segment", "video"] = "segment"
    attn_units: int = Field(256, ge=1)


class _Recurrent(TrainedMethod):
    """Share what the three methods have in common."""

    arch: ClassVar[Literal["hrnn", "stacked", "single"]]
    test_params: ClassVar[Mapping[str, Any]] = {"hidden1": 16, "hidden2": 8, "epochs": 1, "min_batches": 1}

    class Params(RecurrentParams):
        """Parameters of any recurrent method."""

    def build(self, dim: int, vectors: NDArray[np.float32], generator: torch.Generator) -> Any:
        """Return the network with its classifier of the training classes."""
        from zslbench_methods._recurrent import DualLossNetwork

        return DualLossNetwork(self.arch, dim, vectors, self.params, generator)


class Action2Vec(_Recurrent):
    """Hierarchical recurrent network with soft attention, trained with a ranking and a classification loss.

    The equations are those of section 3.2 of Hahn, Silva and Rehg (arXiv:1901.00484).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = Action2Vec({"epochs": 1, "min_batches": 1, "hidden1": 16, "hidden2": 8})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="action2vec",
        summary="hierarchical LSTM with soft attention; pairwise ranking and classification loss",
        citation=_CITATION,
        wants="sequences",
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {**PAPER, "seg_len": 6, "tail": "pad", "attn_at": "both", "attn_scope": "segment"},
        "no-attention": {"attn_at": "none"},
        "cosine-only": {**COSINE_ONLY, "attn_at": "none"},
    }
    test_params: ClassVar[Mapping[str, Any]] = {**_Recurrent.test_params, "attn_units": 8}
    arch = "hrnn"

    class Params(HRNNParams):
        """Parameters of the hierarchical network."""


class StackedLSTM(_Recurrent):
    """Two LSTMs on top of each other over all slots (ablation of Action2Vec, table 1).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = StackedLSTM({"epochs": 1, "min_batches": 1, "hidden1": 16, "hidden2": 8})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="stacked-lstm", summary="two stacked LSTMs, Action2Vec's ablation", citation=_CITATION, wants="sequences"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": PAPER, "cosine-only": COSINE_ONLY}
    arch = "stacked"


class SingleLSTM(_Recurrent):
    """One LSTM over all slots (ablation of Action2Vec, table 1).

    Examples
    --------
    >>> from zslbench.method import Report
    >>> from zslbench.testing import tiny_task
    >>> task = tiny_task()
    >>> method = SingleLSTM({"epochs": 1, "min_batches": 1, "hidden1": 16, "hidden2": 8})
    >>> method.fit(task.train, task.seen_classes, None, Report())
    >>> method.score(task.test, task.test_classes).shape
    (30, 5)
    """

    info = MethodInfo(
        name="single-lstm", summary="a single LSTM, Action2Vec's ablation", citation=_CITATION, wants="sequences"
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": PAPER, "cosine-only": COSINE_ONLY}
    arch = "single"
