"""Define the cell, the unit that is run, stored and resumed, with its identity and its result."""

from __future__ import annotations

import enum
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from zslbench.digests import digest
from zslbench.protocols.protocol import Protocol

SUMS = "SHA256SUMS"  # the file of checksums in a cell's directory
PREDICTIONS, SCORES = "predictions.parquet", "scores.npy"  # of the files in a cell's directory, those of its videos
TRAINING = "training_videos.csv"  # of a cell whose training videos a list or a draw chose
ERROR, TRACEBACK = "error.json", "traceback.txt"  # of a cell that failed; the second if its method raised
RECIPE = 2  # raise it when a change of the harness changes results: views, seeds, metrics, hold-outs

KeptScores = Literal["float32", "float16", "float64"]
Control = Literal[
    "shuffled-frames", "reversed", "single-frame", "shuffled-frames+train", "reversed+train", "single-frame+train"
]


class State(enum.StrEnum):
    """How a cell ended.

    Examples
    --------
    >>> State("out-of-memory") is State.OUT_OF_MEMORY
    True
    """

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    KILLED = "killed"
    SKIPPED = "skipped"


class Auxiliary(BaseModel):
    """Videos of another dataset that a cell also trains on.

    Attributes
    ----------
    rule
        The rule that leaves classes out; empty for cells before this was recorded.

    Examples
    --------
    >>> Auxiliary(dataset="hmdb51", features="captions", features_digest="01", semantics_digest="23").title
    'hmdb51@captions'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    features: str
    features_digest: str
    semantics_digest: str
    simulated: bool = False
    rule: str = ""

    @property
    def title(self) -> str:
        """``hmdb51@captions``."""
        return f"{self.dataset}@{self.features}"


class Cell(BaseModel):
    """One method with its parameters on one feature set, class vectors, protocol, split and seed.

    Attributes
    ----------
    label
        The method's name with its preset, as in tables; not part of the identity.
    variant
        Parameters that have several values in the run, such as ``alpha=0.1``; not part of the identity.
    params
        All parameters, validated, with defaults.
    method_digest
        Digest of the plugin's source, so that old results never count as those of changed code.
    family_digest
        Distinguishes families of one name; not part of the identity, which has the split's own digest.
    split
        Index in the family of the first requested split with this digest; ``repeats`` counts the splits that have it.
    pooled
        ``mine: 23 of 27 classes pooled from words`` if the class vectors lack some class names, of each such dataset;
        not part of the identity, which has the vectors themselves.
    texts, texts_digest
        The class texts, only for methods whose budget has ``class-texts``.
    attributes, attributes_digest
        The classes' attributes, only for methods whose budget has ``attributes``.
    auxiliary
        Videos of another dataset that the method trains on too.
    control
        How the frames of the videos were changed, to see whether a figure needs them in time (``run --control``).
    calibrate
        Whether a cell of ``gzsl`` chooses a calibration factor; true in other protocols.
    held_out
        Name and digest of the published list whose test videos ``gzsl`` holds out of the seen classes. ``None`` where
        the feature set's own column, or a fifth of each class, is held out.
    seed
        The base seed; every component derives its own seed from it.
    local
        Whether the method was given to :func:`zslbench.api.run` as a class or an instance, without a package.
    part
        Index of the one feature set of an ensemble that this cell reads, while the ensemble's cell runs; stored cells
        have none.

    Examples
    --------
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.run.experiment import make_experiment
    >>> from zslbench.run.plan import make_plan
    >>> experiment = make_experiment({"method": "ridge", "dataset": "hmdb51", "splits": "1"})
    >>> (cell,) = make_plan(experiment, simulate=lambda dataset: simulate(dataset, videos_per_class=3)).cells
    >>> cell.title
    'ridge on hmdb51@simulated zsl xu-50/50 #0'
    >>> cell.id == cell.model_copy(update={"label": "another name"}).id
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    label: str
    variant: str = ""
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
    pooled: str = ""
    texts: str | None = None
    texts_digest: str | None = None
    attributes: str | None = None
    attributes_digest: str | None = None
    auxiliary: Auxiliary | None = None
    control: Control | None = None
    calibrate: bool = True
    protocol: Protocol
    held_out: tuple[str, str] | None = None
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
    local: bool = False
    part: int | None = None

    @model_serializer(mode="wrap")
    def _without_what_few_cells_have(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        for name in ("local", "pooled", "part"):
            if not getattr(self, name):  # other cells keep the JSON that they had before these existed
                written.pop(name, None)
        return written

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
        """What only some cells have: digests of texts, attributes, auxiliary videos, lists; a control."""
        # Empty ones are left out, so that cells without such inputs keep the ids that they had before these existed.
        other = self.auxiliary
        auxiliary = other and [each for each in (other.features_digest, other.semantics_digest, other.rule) if each]
        found = {
            "texts": self.texts_digest, "attributes": self.attributes_digest, "auxiliary": auxiliary,
            "control": self.control, "uncalibrated": not self.calibrate,
            "held_out": self.held_out and self.held_out[1], "local": self.local,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}

    @property
    def name(self) -> str:
        """The label, with the variant's parameters, the control and ``[local]``: ``ridge (alpha=0.1) [reversed]``."""
        return self.label + (f" ({self.variant})" if self.variant else "") + self.control_mark + self.local_mark

    @property
    def control_mark(self) -> str:
        """The control as it follows a name, such as `` [reversed]``; empty without one."""
        return f" [{self.control}]" if self.control else ""

    @property
    def local_mark(self) -> str:
        """`` [local]`` at the end of a name, if the method has no package."""
        return " [local]" if self.local else ""

    @property
    def title(self) -> str:
        """One line for progress and logs."""
        return f"{self.name} on {self.dataset}@{self.features} {self.protocol} {self.family} #{self.split}"


class ClassCounts(BaseModel):
    """Numbers of scored and of correct videos per class, which all statistics are computed from.

    Examples
    --------
    >>> counts = ClassCounts(names=("run", "wave"), unseen=(True, True), scored=(4, 5), top1=(2, 5), top5=(4, 5))
    >>> sum(counts.top1) / sum(counts.scored)
    0.7777777777777778
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: tuple[str, ...]
    unseen: tuple[bool, ...]
    scored: tuple[int, ...]
    top1: tuple[int, ...]
    top5: tuple[int, ...]


class Failure(BaseModel):
    """Why a cell has no figures.

    Attributes
    ----------
    where
        ``FILE:LINE, in FUNCTION`` of the innermost frame in the method's own package, if there is one.

    Examples
    --------
    >>> Failure(type="ValueError", message="score() returned nan").message
    'score() returned nan'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    message: str
    traceback: str = ""
    where: str = ""


class Result(BaseModel):
    """The result of a cell.

    Attributes
    ----------
    metrics
        Name -> figure, see :mod:`zslbench.stats.metrics`; empty unless ``state`` is done.
    expected, present
        Numbers of videos of the tested classes: in the dataset (if known), and in the feature set.
    fit_seconds, score_seconds
        Wall-clock time inside the method.
    peak_mb
        Greatest resident memory of the process while the cell ran, MiB.
    notes
        Choices that the method or the harness made by itself.
    checked
        The verdict of ``zslbench check`` on the method's source before the run (:mod:`zslbench.cells.checked`).
    reads_seed
        Whether the method read its seed, so that another one may give another result; ``None`` in older results.

    Examples
    --------
    >>> result = Result(state=State.DONE, metrics={"top1": 0.5}, started=0.0, finished=2.5)
    >>> result.metrics["top1"], result.finished - result.started
    (0.5, 2.5)
    """

    # A diverging network reports NaN. JSON must keep it, or the cell could not be read again.
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
    reads_seed: bool | None = None
    started: float
    finished: float
    failure: Failure | None = None
    checked: dict[str, Any] | None = None
