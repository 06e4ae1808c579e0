"""The protocols in which a cell can run: what is tested, and which figures it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Protocol = Literal["zsl", "gzsl", "base-to-novel", "few-shot", "supervised"]
Tested = Literal["unseen", "both", "apart", "seen"]


@dataclass(frozen=True)
class ProtocolRules:
    """The rules of one protocol.

    Attributes
    ----------
    summary
        What it asks, in one sentence.
    tested
        Whose videos are tested, against which classes. ``unseen``: unseen classes, against each other. ``both``: seen
        and unseen classes, against all of them. ``apart``: both, each against its own side. ``seen``: the classes that
        were trained on, with other videos.
    figures
        The figures of a row, the one that ranks it first (:mod:`zslbench.stats.intervals`).
    compared
        The figures by which two methods are compared.
    metrics
        Further figures of a cell, which only its predictions determine.

    Examples
    --------
    >>> PROTOCOLS["gzsl"].figures[0], PROTOCOLS["base-to-novel"].figures[0]
    ('H', 'HM')
    """

    summary: str
    tested: Tested
    figures: tuple[str, ...]
    compared: tuple[str, ...]
    metrics: frozenset[str] = frozenset()

    @property
    def primary(self) -> str:
        """The figure that ranks rows by default."""
        return self.figures[0]

    @property
    def tests_seen(self) -> bool:
        """Whether videos of trained classes are tested."""
        return self.tested != "unseen"


_ACCURACIES = ("top1", "top1_per_class", "top5")
PROTOCOLS: Mapping[Protocol, ProtocolRules] = {
    "zsl": ProtocolRules(
        "Zero-shot: test videos of unseen classes, against the unseen classes.",
        tested="unseen", figures=_ACCURACIES, compared=("top1_per_class",), metrics=frozenset({"hubness"}),
    ),
    "gzsl": ProtocolRules(
        "Generalized zero-shot: test videos of seen and unseen classes, against all of them.",
        tested="both", figures=("H", "S", "U", "top1", "top1_per_class"), compared=("H", "U", "S"),
        metrics=frozenset({"hubness", "AUSUC", "S_calibrated", "U_calibrated", "H_calibrated", "factor"}),
    ),
    "base-to-novel": ProtocolRules(
        "Train on K videos of each base class; test base classes against base ones, and novel against novel ones.",
        tested="apart", figures=("HM", "base", "novel", "top1_per_class"), compared=("HM", "novel", "base"),
        metrics=frozenset({"hubness"}),
    ),
    "few-shot": ProtocolRules(
        "Train on K videos of every class; test other videos, against all classes.",
        tested="seen", figures=_ACCURACIES, compared=("top1_per_class",), metrics=frozenset({"hubness"}),
    ),
    "supervised": ProtocolRules(
        "Train on the training videos of an official list; test its test videos, against all classes.",
        tested="seen", figures=_ACCURACIES, compared=("top1_per_class",), metrics=frozenset({"hubness"}),
    ),
}  # fmt: skip
