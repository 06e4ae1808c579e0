"""The cell: the unit that is run, stored and resumed, its identity, and what it comes to."""

from __future__ import annotations

import enum
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from zslbench.digests import digest

RECIPE = 1  # raise it when the harness itself changes results: views, seeds, metrics, hold-outs

Protocol = Literal["zsl", "gzsl"]


class State(enum.StrEnum):
    """How a cell ended."""

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    KILLED = "killed"
    SKIPPED = "skipped"


class Auxiliary(BaseModel):
    """Another dataset's videos that a cell trains on too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    features: str
    features_digest: str
    semantics_digest: str
    simulated: bool = False

    @property
    def title(self) -> str:
        """``hmdb51@captions``."""
        return f"{self.dataset}@{self.features}"


class Cell(BaseModel):
    """One method with its parameters on one feature set, class vectors, protocol, split and seed.

    Attributes
    ----------
    label
        The method's name with its preset, as tables show it; not part of the identity.
    params
        All parameters, validated, defaults filled in.
    method_digest
        Digest of the plugin's source, so that results of changed code are never taken for the new code's.
    family_digest
        Tells apart families of one name; not part of the identity, which has the split's own digest.
    split
        Place in the family of the first split asked for with this digest; ``repeats`` counts those with the same one.
    texts, texts_digest
        The class texts; only for methods whose budget has ``class-texts``.
    attributes, attributes_digest
        The classes' attributes; only for methods whose budget has ``attributes``.
    auxiliary
        Another dataset's videos, which are trained on beside the seen ones.
    seed
        The base seed; every component derives its own from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    label: str
    method_version: str
    method_digest: str
    params: dict[str, Any]
    dataset: str
    classes_digest: str
    features: str
    features_digest: str
    seen_dataset: str | None = None
    seen_features_digest: str | None = None
    semantics: str
    semantics_digest: str
    texts: str | None = None
    texts_digest: str | None = None
    attributes: str | None = None
    attributes_digest: str | None = None
    auxiliary: Auxiliary | None = None
    protocol: Protocol
    family: str
    family_digest: str
    split: int
    split_digest: str
    repeats: int = 1
    family_size: int
    seed: int
    recipe: int = RECIPE
    budget: tuple[str, ...]
    reconstruction: bool = False
    simulated: bool = False

    @cached_property
    def id(self) -> str:
        """BLAKE2 digest of everything that the result depends on, by content and not by name."""
        return digest(
            self.extras
            | {
                "method": [self.method, self.method_version, self.method_digest],
                "params": self.params,
                "dataset": [self.dataset, self.classes_digest],
                "features": [self.features_digest, self.seen_features_digest],
                "semantics": self.semantics_digest,
                "protocol": self.protocol,
                "split": [self.family, self.split_digest],
                "seed": self.seed,
                "recipe": self.recipe,
            }
        )

    @property
    def extras(self) -> dict[str, Any]:
        """Digests of what only some cells read: texts, attributes, auxiliary videos. Cells without have no such key."""
        auxiliary = self.auxiliary and [self.auxiliary.features_digest, self.auxiliary.semantics_digest]
        found = {"texts": self.texts_digest, "attributes": self.attributes_digest, "auxiliary": auxiliary}
        return {name: value for name, value in found.items() if value}

    @property
    def title(self) -> str:
        """One line for progress and logs."""
        return f"{self.label} on {self.dataset}@{self.features} {self.protocol} {self.family} #{self.split}"


class ClassCounts(BaseModel):
    """Videos scored and right, a class; what every statistic is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[str, ...]
    unseen: tuple[bool, ...]
    scored: tuple[int, ...]
    top1: tuple[int, ...]
    top5: tuple[int, ...]


class Failure(BaseModel):
    """Why a cell has no figures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    message: str
    traceback: str = ""


class Result(BaseModel):
    """What a cell came to.

    Attributes
    ----------
    metrics
        Figures by name, see :mod:`zslbench.stats.metrics`; empty unless ``state`` is done.
    expected, present
        Videos of the tested classes that the dataset should have (where known), and that the feature set has.
    fit_seconds, score_seconds
        Wall-clock time inside the method.
    peak_mb
        Greatest resident memory of the process while the cell ran, MiB.
    notes
        What the method or the harness chose by itself.
    """

    # A diverging network reports NaN: JSON must carry it, or the cell could not be read again.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    state: State
    metrics: dict[str, float] = {}
    classes: ClassCounts | None = None
    expected: int | None = None
    present: int | None = None
    fit_seconds: float | None = None
    score_seconds: float | None = None
    peak_mb: float | None = None
    epochs: list[dict[str, float]] = []
    warnings: list[str] = []
    notes: dict[str, float | str] = {}
    started: float
    finished: float
    failure: Failure | None = None
