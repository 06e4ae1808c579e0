"""The interface of a method: its metadata, its parameters, and the data that it gets."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zslbench.classes import Classes, TokenEncoder
from zslbench.compute import computing_device
from zslbench.messages import Report
from zslbench.videos import SeenVideos, Videos

__all__ = [
    "Budget", "Classes", "Method", "MethodInfo", "MethodParams", "Report", "SeenVideos", "Target", "TokenEncoder",
    "Validation", "Videos",
]  # fmt: skip


class Budget(enum.StrEnum):
    """The kinds of information that a method may use; a closed vocabulary.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> sorted(get_method("ridge+nrm").info.budget)
    [<Budget.CLASS_VECTORS: 'class-vectors'>, <Budget.UNSEEN_VIDEOS: 'unseen-videos'>]
    """

    CLASS_VECTORS = "class-vectors"
    CLASS_TEXTS = "class-texts"
    ATTRIBUTES = "attributes"
    UNSEEN_NAMES = "unseen-names-at-training"
    UNSEEN_VIDEOS = "unseen-videos"
    AUXILIARY_VIDEOS = "auxiliary-videos"
    VISION_LANGUAGE = "vision-language-pretraining"
    ORACLE = "oracle"


class MethodInfo(BaseModel):
    """What is known about a method without running it.

    Attributes
    ----------
    name
        The name on the command line; equal to that of the entry point.
    wants
        ``pooled`` if the method uses only mean-pooled features, ``sequences`` if the order of frames matters.
    reconstruction
        Whether its equations could not be checked at their source; every table says so.
    scores
        ``any`` if the method scores classes that it has never seen, ``trained`` if only those that it was fitted on, as
        a classifier does. The latter runs where the test classes are the training classes.
    tower
        Whether the method needs the encoder that made the class vectors, from token embeddings on: it then gets
        :attr:`Classes.phrases` and :attr:`Classes.tower`.
    version
        Raise it when results change; it is part of each cell's identity.

    Examples
    --------
    >>> info = MethodInfo(name="mine", summary="An idea of my own.", budget={"class-vectors", "class-texts"})
    >>> sorted(info.budget)
    [<Budget.CLASS_TEXTS: 'class-texts'>, <Budget.CLASS_VECTORS: 'class-vectors'>]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    citation: str = ""
    budget: frozenset[Budget] = frozenset({Budget.CLASS_VECTORS})
    wants: Literal["pooled", "sequences"] = "pooled"
    reconstruction: bool = False
    scores: Literal["any", "trained"] = "any"
    tower: bool = False
    version: str = "1"


class MethodParams(BaseModel):
    """Base class of every method's parameters; unknown names and wrong types are refused.

    Examples
    --------
    >>> MethodParams.model_validate({"epochz": 3})
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: 1 validation error for MethodParams...
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Target:
    """The information about the test that a declared budget grants a method, and nothing more.

    Attributes
    ----------
    classes
        The candidate classes at test time (``unseen-names-at-training``).
    videos
        The unlabelled test videos (``unseen-videos``).
    counts
        Class name -> number of test videos (``oracle``).

    Examples
    --------
    >>> target = Target(videos=Videos.from_arrays(np.eye(3)))  # the budget has unseen-videos, and nothing else
    >>> len(target.videos), target.classes
    (3, None)
    """

    classes: Classes | None = None
    videos: Videos | None = None
    counts: Mapping[str, int] | None = None


class Validation(NamedTuple):
    """The classes that a split family reserves for validation, and their labelled videos.

    Attributes
    ----------
    videos
        ``videos.labels`` are indices into ``classes``.
    classes
        Classes that are neither trained on nor tested.

    Examples
    --------
    >>> classes = Classes(("run", "walk"), np.eye(2, dtype=np.float32))
    >>> given = Validation(SeenVideos.from_arrays(np.eye(2), labels=[0, 1]), classes)
    >>> len(given.videos), given.classes.names
    (2, ('run', 'walk'))
    """

    videos: SeenVideos
    classes: Classes


GRANTS: Mapping[str, Budget] = {
    "classes": Budget.UNSEEN_NAMES,
    "videos": Budget.UNSEEN_VIDEOS,
    "counts": Budget.ORACLE,
}  # field of a Target -> the budget that it needs


class Method(ABC):
    """A zero-shot method: it learns from seen videos and scores any video for any class.

    A subclass sets ``info``, may replace ``Params`` and ``presets``, and implements :meth:`fit` and :meth:`score`.
    Import heavy libraries inside the functions, so that listing methods stays fast.

    Parameters
    ----------
    params
        Validated parameters, or a mapping that is validated here; ``None`` for the defaults.
    seed
        The only source of randomness that the method may use.

    Attributes
    ----------
    info
        What is known about the method without running it.
    presets
        Name -> parameters, for ``--method name:preset``.
    test_params
        Small parameters for the conformance checks, if a fit with the defaults takes long.
    test_task
        Arguments of :func:`zslbench.testing.tiny_task` for these checks, if the method needs another made-up task.
    expected_failed_checks
        Conformance check -> the reason why the method fails it on purpose.
    parts
        Other classes that it consists of; their source is part of a cell's identity, too.

    Examples
    --------
    >>> class Nearest(Method):
    ...     info = MethodInfo(name="nearest", summary="The class vector with the largest scalar product.")
    ...     def fit(self, seen, classes, target, report): pass
    ...     def score(self, videos, classes): return videos.pooled() @ classes.vectors.T
    >>> classes = Classes(("run", "walk"), np.eye(2, dtype=np.float32))
    >>> Nearest().score(Videos.from_arrays(np.array([[0.2, 0.9]])), classes).argmax(axis=1)
    array([1])
    """

    info: ClassVar[MethodInfo]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    test_params: ClassVar[Mapping[str, Any]] = {}
    test_task: ClassVar[Mapping[str, Any]] = {}
    expected_failed_checks: ClassVar[Mapping[str, str]] = {}
    parts: ClassVar[tuple[type, ...]] = ()
    _validation: Validation | None = None
    _reads_validation = False

    class Params(MethodParams):
        """No parameters."""

    def __init__(self, params: MethodParams | Mapping[str, Any] | None = None, *, seed: int = 0) -> None:
        self.params: Any = params if isinstance(params, MethodParams) else self.Params.model_validate(params or {})
        self.seed = seed

    @property
    def seed(self) -> int:
        """The only source of randomness that the method may use; reading it sets :attr:`reads_seed`."""
        self._reads_seed = True
        return self._seed

    @seed.setter
    def seed(self, value: int) -> None:
        self._seed, self._reads_seed = value, False

    @property
    def reads_seed(self) -> bool:
        """Whether this method, or one that it is made of, has read its seed so far: its result may depend on it."""
        own = getattr(self, "_reads_seed", False)  # a subclass may not call __init__
        return own or any(part.reads_seed for part in vars(self).values() if isinstance(part, Method))

    @property
    def validation(self) -> Validation | None:
        """The family's validation classes, to choose on instead of held-out seen classes; ``None`` where it has none.

        The harness sets it before the fit. Reading it sets :attr:`reads_validation`: each result records who asked.
        """
        self._reads_validation = True
        return self._validation

    @validation.setter
    def validation(self, value: Validation | None) -> None:
        self._validation, self._reads_validation = value, False

    @property
    def reads_validation(self) -> bool:
        """Whether this method, or one that it is made of, has asked for validation classes and got some."""
        own = self._reads_validation and self._validation is not None
        return own or any(part.reads_validation for part in vars(self).values() if isinstance(part, Method))

    @cached_property
    def device(self) -> str:
        """Where to compute with torch: ``cpu``, ``cuda`` or ``mps``, as ``run --device`` says; results record it."""
        return computing_device()

    @property
    def budget(self) -> frozenset[Budget]:
        """The information that this method may use with its parameters; a parameter can add to ``info.budget``."""
        return self.info.budget

    @property
    def trains(self) -> bool:
        """Whether the fit uses the seen videos or classes, as is the default.

        Without training, the scores are the same whatever was seen. Such a method is fitted on no video, ``len(seen)``
        is 0, and on no class: its names are ``()`` and its vectors (0, d). A parameter can decide, as for the budget.
        """
        return True

    @abstractmethod
    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Learn from the seen classes' training videos.

        Parameters
        ----------
        seen
            Training videos; ``seen.labels`` are indices into ``classes``. None if the method does not train.
        classes
            The seen classes.
        target
            ``None`` unless the budget declares unseen class names or unlabelled unseen videos.
        report
            Takes progress, metrics per epoch and warnings.
        """

    @abstractmethod
    def score(self, videos: Videos, classes: Classes) -> NDArray[np.floating[Any]]:
        """Return (n_videos, n_classes) scores, higher for a better match, of any classes in any order."""

    def alternatives(self, videos: Videos, classes: Classes) -> Iterator[tuple[str, NDArray[np.floating[Any]]]] | None:
        """Yield (name, scores as in :meth:`score`), of which the harness takes those with the best test accuracy.

        The harness asks only methods whose budget has ``oracle``, and test labels stay out of methods. ``None``, the
        default, means that there is only :meth:`score`.
        """
        return None

    def embed(self, videos: Videos) -> NDArray[np.floating[Any]]:
        """Return (n_videos, d) embeddings in the space of class vectors; optional, for methods that have such a space.

        ``zslbench embed``, the semantic tests and the pictures need it.

        Raises
        ------
        NotImplementedError
            The method does not embed videos, which is the default.
        """
        raise NotImplementedError(f"{self.info.name} does not embed videos: it defines no embed()")

    @classmethod
    def embeds(cls) -> bool:
        """Return whether the class defines :meth:`embed`; ``embed = Method.embed`` removes an inherited one."""
        return cls.embed is not Method.embed

    def place(self, vectors: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
        """Return class or word vectors, (k, d_in), in the space of :meth:`embed`, (k, d); here they are not changed.

        A method with another space (centred, projected, ...) overrides it.
        """
        return vectors

    def state(self) -> dict[str, NDArray[Any]]:
        """Return everything that :meth:`fit` learnt, as arrays of numbers by name, for a saved model.

        Parameters and seed are saved separately and do not belong here.

        Raises
        ------
        NotImplementedError
            The method cannot be saved, which is the default.
        """
        raise NotImplementedError(f"{self.info.name} cannot be saved: it defines no state() and restore()")

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned, in a new instance with the same parameters and seed.

        Raises
        ------
        NotImplementedError
            The method cannot be saved, which is the default.
        """
        raise NotImplementedError(f"{self.info.name} cannot be restored: it defines no state() and restore()")
