"""What a method is: its metadata, its parameters, and the views that it is handed."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zslbench.videos import SeenVideos, Videos

__all__ = [
    "Budget", "Classes", "Method", "MethodInfo", "MethodParams", "Report", "SeenVideos", "Target", "Videos",
]  # fmt: skip


class Budget(enum.StrEnum):
    """The closed vocabulary of what a method may have seen."""

    CLASS_VECTORS = "class-vectors"
    CLASS_TEXTS = "class-texts"
    ATTRIBUTES = "attributes"
    UNSEEN_NAMES = "unseen-names-at-training"
    UNSEEN_VIDEOS = "unseen-videos"
    AUXILIARY_VIDEOS = "auxiliary-videos"
    VISION_LANGUAGE = "vision-language-pretraining"
    ORACLE = "oracle"


class MethodInfo(BaseModel):
    """What is known of a method without running it.

    Attributes
    ----------
    name
        The name on the command line; equal to that of the entry point.
    wants
        ``pooled`` where the method only looks at mean-pooled features, ``sequences`` where order matters to it.
    reconstruction
        True where its equations were not checked at their source; every table says so.
    version
        Raise it when results change; it is part of each cell's identity.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    citation: str = ""
    budget: frozenset[Budget] = frozenset({Budget.CLASS_VECTORS})
    wants: Literal["pooled", "sequences"] = "pooled"
    reconstruction: bool = False
    version: str = "1"


class MethodParams(BaseModel):
    """Base of every method's parameters: unknown names and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Classes:
    """The classes that a method may know at that moment.

    Attributes
    ----------
    names
        Class names, in an order that carries no meaning.
    vectors
        (n_classes, d) float32, one class vector a row.
    texts
        Descriptions of each class; only for methods whose budget has ``class-texts``.
    attributes
        (n_classes, n_attributes); only for methods whose budget has ``attributes``.
    encode
        Texts -> their vectors, (k, d), in the space of ``vectors``; only for methods whose budget has ``class-texts``.
        It raises :class:`~zslbench.errors.OutOfVocabularyError` where the source of the vectors cannot encode one.
    auxiliary
        (n_classes,) bool, the classes of another dataset that are trained on beside the seen ones; ``None`` for none.
    """

    names: tuple[str, ...]
    vectors: NDArray[np.float32]
    texts: tuple[tuple[str, ...], ...] | None = None
    attributes: NDArray[np.float32] | None = None
    encode: Callable[[Sequence[str]], NDArray[np.float32]] | None = None
    auxiliary: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: NDArray[Any]) -> Classes:
        """Return the classes at ``index``, in that order."""
        index = np.arange(len(self))[np.asarray(index)]
        return Classes(
            names=tuple(self.names[i] for i in index),
            vectors=self.vectors[index],
            texts=None if self.texts is None else tuple(self.texts[i] for i in index),
            attributes=None if self.attributes is None else self.attributes[index],
            encode=self.encode,
            auxiliary=None if self.auxiliary is None else self.auxiliary[index],
        )

    def join(self, other: Classes) -> Classes:
        """Return these classes and then the others; texts and attributes where both have them."""
        own, theirs = (np.zeros(len(c), dtype=bool) if c.auxiliary is None else c.auxiliary for c in (self, other))
        any_auxiliary = self.auxiliary is not None or other.auxiliary is not None
        return Classes(
            names=self.names + other.names,
            vectors=np.concatenate([self.vectors, other.vectors]),
            texts=None if self.texts is None or other.texts is None else self.texts + other.texts,
            attributes=None
            if self.attributes is None or other.attributes is None
            else np.concatenate([self.attributes, other.attributes]),
            encode=self.encode,
            auxiliary=np.concatenate([own, theirs]) if any_auxiliary else None,
        )


@dataclass(frozen=True)
class Target:
    """What a declared budget lets a method know of the test, and nothing more.

    Attributes
    ----------
    classes
        The classes to be told apart at test time (``unseen-names-at-training``).
    videos
        The unlabelled test videos (``unseen-videos``).
    counts
        Class name -> number of test videos (``oracle``).
    """

    classes: Classes | None = None
    videos: Videos | None = None
    counts: Mapping[str, int] | None = None


GRANTS: Mapping[str, Budget] = {
    "classes": Budget.UNSEEN_NAMES,
    "videos": Budget.UNSEEN_VIDEOS,
    "counts": Budget.ORACLE,
}  # of a target


class Report:
    """How a method tells what it is doing; this base class keeps the records and shows nothing.

    Attributes
    ----------
    epochs
        One record of metrics each :meth:`epoch`, kept with the result.
    warnings
        Sentences kept with the result.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.warnings: list[str] = []
        self.notes: dict[str, float | str] = {}

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Tell how far the method is, in units of its own."""

    def epoch(self, **metrics: float) -> None:
        """Keep one record of metrics (loss, validation accuracy, ...)."""
        self.epochs.append({name: float(value) for name, value in metrics.items()})

    def warn(self, sentence: str) -> None:
        """Keep a sentence that the user should read."""
        self.warnings.append(str(sentence))

    def note(self, **values: float | str) -> None:
        """Keep what the fit chose by itself: a strength, the best epoch, a bandwidth."""
        self.notes.update(
            {n: float(v) if isinstance(v, int | float | np.number) else str(v) for n, v in values.items()}
        )


class Method(ABC):
    """A zero-shot method: learns from seen videos, scores any video against any class.

    A subclass sets ``info``, may replace ``Params`` and ``presets``, and writes :meth:`fit` and :meth:`score`. Heavy
    libraries are imported inside the functions, so that listing methods stays instant.

    Parameters
    ----------
    params
        Validated parameters, or a mapping that is validated here; ``None`` for the defaults.
    seed
        The only source of randomness that the method may use.

    Attributes
    ----------
    info
        What is known of the method without running it.
    presets
        Name -> parameters, for ``--method name:preset``.
    test_params
        Small parameters for the conformance checks, where a fit with the defaults takes long.
    test_task
        Arguments of :func:`zslbench.testing.tiny_task` for these checks, where not every made-up task will do.
    expected_failed_checks
        Conformance check -> the reason why the method fails it on purpose.
    parts
        Other classes that it is made of; their source is part of a cell's identity, as the method's own is.
    """

    info: ClassVar[MethodInfo]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    test_params: ClassVar[Mapping[str, Any]] = {}
    test_task: ClassVar[Mapping[str, Any]] = {}
    expected_failed_checks: ClassVar[Mapping[str, str]] = {}
    parts: ClassVar[tuple[type, ...]] = ()

    class Params(MethodParams):
        """No parameters."""

    def __init__(self, params: MethodParams | Mapping[str, Any] | None = None, *, seed: int = 0) -> None:
        self.params: Any = params if isinstance(params, MethodParams) else self.Params.model_validate(params or {})
        self.seed = seed

    @property
    def budget(self) -> frozenset[Budget]:
        """What this method with these parameters may see; more than ``info.budget`` where a parameter asks for it."""
        return self.info.budget

    @abstractmethod
    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Learn from the seen classes' training videos.

        Parameters
        ----------
        seen
            Training videos; ``seen.labels`` are places in ``classes``.
        classes
            The seen classes.
        target
            ``None`` unless the budget declares unseen class names or unlabelled unseen videos.
        report
            Where progress, epoch metrics and warnings go.
        """

    @abstractmethod
    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return (n_videos, n_classes) scores, higher for a better match; any classes, in any order."""

    def alternatives(self, videos: Videos, classes: Classes) -> Iterator[tuple[str, NDArray[np.floating[Any]]]] | None:
        """Yield (name, scores as :meth:`score` returns them): the harness takes what the test labels like best.

        Only a method whose budget has ``oracle`` is asked, so that test labels stay out of methods; ``None``, the
        default, leaves it at :meth:`score`.
        """
        return None

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return (n_videos, d): where videos lie among class vectors; optional, for methods that map them there.

        It opens ``zslbench embed``, the semantic tests and the pictures to the method.

        Raises
        ------
        NotImplementedError
            The method embeds no video: the default.
        """
        raise NotImplementedError(f"{self.info.name} embeds no video: it defines no embed()")

    @classmethod
    def embeds(cls) -> bool:
        """Return whether the class defines :meth:`embed`; ``embed = Method.embed`` takes an inherited one back."""
        return cls.embed is not Method.embed

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return where class or word vectors, (k, d_in), lie in the space of :meth:`embed`, (k, d); there as they are.

        A method whose space is another one (centred, projected, ...) overrides it.
        """
        return vectors

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that :meth:`fit` learnt, as arrays of numbers by name: what a saved model is made of.

        Parameters and seed are kept beside it; nothing of them belongs here.

        Raises
        ------
        NotImplementedError
            The method cannot be saved: the default.
        """
        raise NotImplementedError(f"{self.info.name} cannot be saved: it defines no state() and restore()")

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what :meth:`state` returned, in a new instance with the same parameters and seed.

        Raises
        ------
        NotImplementedError
            The method cannot be saved: the default.
        """
        raise NotImplementedError(f"{self.info.name} cannot be restored: it defines no state() and restore()")
