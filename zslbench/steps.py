"""Steps on top of a method, such as ``ridge+nrm``: they change its scores with the help of unlabelled videos.

A package can add steps through the entry-point group ``zslbench.steps``. A method with steps is a method like any
other. Its parameters are those of the method and, under the step's name, those of each step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, create_model

from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Classes, Method, MethodInfo, MethodParams, Report, SeenVideos, Target, Videos
from zslbench.videos import _held

Scores = NDArray[np.floating[Any]]
_PIVOTS = "pivots."  # before the names of the pivots' arrays in a saved state
_SEEN_PIVOTS = "seen-pivots."
_MOST_SEEN = 2000


class StepInfo(BaseModel):
    """What is known about a step without running it; the fields are those of :class:`~zslbench.method.MethodInfo`.

    Examples
    --------
    >>> StepInfo(name="centred", summary="Subtract the mean score of each class.").version
    '1'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str
    citation: str = ""
    reconstruction: bool = False
    version: str = "1"


class Step(ABC):
    """A change of a method's scores that uses *pivots*: the unlabelled test videos, or the seen training videos.

    Attributes
    ----------
    info
        What is known about the step without running it.
    inductive
        Whether the pivots are seen training videos, 2,000 at most. Such a step adds nothing to the budget, and a
        video's scores do not depend on other test videos.
    test_params
        Parameters of the conformance checks where the defaults make no sense on a few videos.

    Examples
    --------
    >>> class Centred(Step):
    ...     info = StepInfo(name="centred", summary="Subtract the mean score of each class over the test videos.")
    ...     def score(self, method, pivots, videos, classes):
    ...         return method.score(videos, classes) - method.score(pivots, classes).mean(axis=0)
    >>> from zslbench.registry import get_method
    >>> compose(get_method("ridge"), Centred).info.name
    'ridge+centred'
    """

    info: ClassVar[StepInfo]
    inductive: ClassVar[bool] = False
    test_params: ClassVar[Mapping[str, Any]] = {}

    class Params(MethodParams):
        """No parameters."""

    def __init__(self, params: MethodParams) -> None:
        self.params: Any = params

    @property
    def budget(self) -> frozenset[Budget]:
        """The information that the step may use in addition to its method's: the unlabelled test videos, if any."""
        return frozenset() if self.inductive else frozenset({Budget.UNSEEN_VIDEOS})

    @abstractmethod
    def score(self, method: Method, pivots: Videos, videos: Videos, classes: Classes) -> Scores:
        """Return (n_videos, n_classes) scores, higher for a better match.

        Parameters
        ----------
        method
            The fitted method with the steps before this one.
        pivots
            The unlabelled test videos, or seen training videos; ``videos`` need not be among them.
        """

    def alternatives(
        self, method: Method, pivots: Videos, videos: Videos, classes: Classes
    ) -> Iterator[tuple[str, Scores]] | None:
        """Yield the scores that an oracle chooses from (see :meth:`zslbench.method.Method.alternatives`)."""
        return None


def same_videos(a: Videos, b: Videos) -> bool:
    """Return whether two views are of the same videos in the same order."""
    (store, rows), (other, other_rows) = _held(a), _held(b)
    return store is other and np.array_equal(rows, other_rows)


@cache
def compose(base: type[Method], step: type[Step]) -> type[Method]:
    """Return the method ``base+step``; ``base`` may have steps itself."""
    info = MethodInfo(
        name=f"{base.info.name}+{step.info.name}",
        summary=f"{base.info.summary} Then: {step.info.summary}",
        citation="; ".join(filter(None, (base.info.citation, step.info.citation))),
        budget=base.info.budget | (frozenset() if step.inductive else {Budget.UNSEEN_VIDEOS}),
        wants=base.info.wants,
        reconstruction=base.info.reconstruction or step.info.reconstruction,
        scores=base.info.scores,
        version=f"{base.info.version}+{step.info.version}",
    )
    field = field_of(step)
    if field in base.Params.model_fields:
        raise ZslbenchError(f"{base.info.name} has {step.info.name} already, or a parameter {field!r}; leave one out.")
    fields: dict[str, Any] = {field: (step.Params, step.Params())}
    params = create_model(f"{base.__name__}{step.__name__}Params", __base__=base.Params, **fields)
    # The conformance check of documented parameters looks for the new field here.
    params.__doc__ = f"{base.Params.__doc__}\n\n    {field}\n        Parameters of the step ``{step.info.name}``."
    body = {
        "__module__": __name__,
        "__doc__": f"{base.__doc__}\n\nThen the step ``{step.info.name}``: {step.info.summary}",
        "info": info,
        "presets": base.presets,
        "test_params": {**base.test_params, **({field: step.test_params} if step.test_params else {})},
        "test_task": base.test_task,
        "expected_failed_checks": base.expected_failed_checks,
        "parts": (base, *base.parts, step),
        "Params": params,
        "base": base,
        "step": step,
    }
    return type(f"{base.__name__}{step.__name__}", (Stepped,), body)


def field_of(step: type[Step]) -> str:
    """Return the name of the parameter for a step's own parameters: the step's name with underscores."""
    return step.info.name.replace("-", "_")


class Stepped(Method):
    """A method with a step on top; :func:`compose` makes its subclasses.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> ridge_with_nrm = get_method("ridge+nrm")
    >>> issubclass(ridge_with_nrm, Stepped), ridge_with_nrm.step.info.name
    (True, 'nrm')
    """

    base: ClassVar[type[Method]]
    step: ClassVar[type[Step]]

    def __init__(self, params: MethodParams | Mapping[str, Any] | None = None, *, seed: int = 0) -> None:
        super().__init__(params, seed=seed)
        names = self.base.Params.model_fields
        self._base = self.base({name: getattr(self.params, name) for name in names}, seed=seed)
        self._step = self.step(getattr(self.params, field_of(self.step)))
        if isinstance(self._base, Stepped) and Budget.ORACLE in self._base._step.budget:  # noqa: SLF001
            raise ZslbenchError(
                f"{self._base.step.info.name} chooses by test labels, but {self.step.info.name} after it would not see "
                f"the choice; make {self._base.step.info.name} the last step, or not an oracle."
            )

    @property
    def budget(self) -> frozenset[Budget]:
        """The budgets of the method and the step together."""
        return self._base.budget | self._step.budget

    @property
    def trains(self) -> bool:
        """Whether the method trains, or the step looks at seen videos."""
        return self._base.trains or self.step.inductive

    def fit(self, seen: SeenVideos, classes: Classes, target: Target | None, report: Report) -> None:
        """Fit the method with the information of its own budget, and keep the pivots."""
        given = Target() if target is None else target
        pivots = seen.unlabelled() if self.step.inductive else given.videos
        if self.step.inductive and len(seen) > _MOST_SEEN:
            order = np.random.default_rng(derive_seed(self.seed, "pivots")).permutation(len(seen))
            pivots = seen.take(np.sort(order[:_MOST_SEEN])).unlabelled()
        if pivots is None:
            raise ZslbenchError(f"{self.info.name} needs unlabelled test videos, which are not available here.")
        granted = self._base.budget
        own = Target(
            classes=given.classes if Budget.UNSEEN_NAMES in granted else None,
            videos=given.videos if Budget.UNSEEN_VIDEOS in granted else None,
            counts=given.counts if Budget.ORACLE in granted else None,
        )
        nothing = own == Target()
        self._base.validation = self._validation
        self._base.fit(seen, classes, None if nothing else own, report)
        self._pivots = pivots

    def score(self, videos: Videos, classes: Classes) -> Scores:
        """Return the step's scores, (n_videos, n_classes)."""
        return self._step.score(self._base, self._pivots, videos, classes)

    def alternatives(self, videos: Videos, classes: Classes) -> Iterator[tuple[str, Scores]] | None:
        """Yield the step's alternatives, if its parameters make it an oracle."""
        return self._step.alternatives(self._base, self._pivots, videos, classes)

    def embed(self, videos: Videos) -> Scores:
        """Return the embeddings of the method below: a step changes scores, not embeddings."""
        return self._base.embed(videos)

    @classmethod
    def embeds(cls) -> bool:
        """Return whether the method below embeds videos."""
        return cls.base.embeds()

    def place(self, vectors: NDArray[np.float32]) -> Scores:
        """Return class vectors in the space of the method below."""
        return self._base.place(vectors)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the state of the method below and the pivots (only their means, if these are enough)."""
        pivots = self._pivots
        if self.info.wants == "pooled":
            frames, lengths, tokens = pivots.pooled(), np.ones(len(pivots), dtype=np.int64), 1
        else:
            (batch,) = pivots.batches(len(pivots))
            frames, lengths, tokens = batch.frames, batch.lengths, pivots.tokens
        arrays: dict[str, NDArray[Any]] = {"frames": frames, "lengths": lengths, "tokens": np.array(tokens)}
        return self._base.state() | {self._place + name: array for name, array in arrays.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore both."""
        below = issubclass(self.base, Stepped)  # a step below may keep the same videos under the same names
        self._base.restore({name: array for name, array in state.items() if below or not name.startswith(self._place)})
        lengths = state[f"{self._place}lengths"]
        parts = np.split(state[f"{self._place}frames"], np.cumsum(lengths)[:-1])
        self._pivots = Videos.from_arrays(parts, tokens=int(state[f"{self._place}tokens"]))

    @property
    def _place(self) -> str:
        return _SEEN_PIVOTS if self.step.inductive else _PIVOTS
