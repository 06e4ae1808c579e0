"""Checks, and the method that they check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.method import Method, Report, Target
from zslbench.run.evaluate import _target
from zslbench.run.task import Task
from zslbench.steps import Stepped
from zslbench.testing.tiny import tiny_task

TOLERANCE = 1e-4  # relative to the largest score: float32 sums in another order differ by less

_SEEDS = 2**62  # those of a run are below 2^63
_ROUNDING = 1e-6  # of a sum in float32, relative to the largest number in it


class CheckFailed(AssertionError):  # noqa: N818  (the name is shown in pytest's report)
    """The method does not pass a check; the message says why, and where to look."""


class CheckSkipped(Exception):  # noqa: N818
    """The check does not apply to the method; the message says why."""


@dataclass(frozen=True)
class Subject:
    """A method class with the parameters that it is checked with.

    Attributes
    ----------
    values
        Parameter -> value: the method's ``test_params``, and those that the caller changes.
    """

    method: type[Method]
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, method: type[Method], values: Mapping[str, Any] | None = None) -> Subject:
        """Return the method with its ``test_params``, overridden by ``values``."""
        return cls(method, {**method.test_params, **(values or {})})

    @property
    def name(self) -> str:
        """The method's name, or the name of its class if it has no info."""
        info = getattr(self.method, "info", None)
        return str(getattr(info, "name", self.method.__name__))

    @property
    def base(self) -> type[Method]:
        """The method below the steps."""
        method = self.method
        while issubclass(method, Stepped):
            method = method.base
        return method

    @property
    def knows_test(self) -> bool:
        """Whether the method can only score classes that it was fitted on."""
        return getattr(getattr(self.method, "info", None), "scores", "any") == "trained"

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """Check -> reason, for the checks that the method declares to fail; a property depends on its parameters."""
        declared = self.method.expected_failed_checks
        return self.new().expected_failed_checks if isinstance(declared, property) else declared

    def new(self, seed: int = 0) -> Method:
        """Return an unfitted instance, with a seed as large as those of a run: some libraries refuse them."""
        return self.method(self.values, seed=_SEEDS + seed)

    def task(self, **how: Any) -> Task:
        """Return :func:`tiny_task` with what this method's budget grants, and test classes that it can score."""
        own: dict[str, Any] = {"scores": "trained"} if self.knows_test else {}
        own["tower"] = getattr(getattr(self.base, "info", None), "tower", False)
        return tiny_task(budget=self.new().budget, **{**own, **self.method.test_task, **how})

    def cell_task(self) -> Task:
        """Return a task that can run as a whole cell: where trained classes are tested, each has test videos."""
        return self.task(seed=3, **({"n_seen": 0, "n_unseen": 13} if self.knows_test else {}))

    def target(self, task: Task) -> Target | None:
        """Return the information about the test that this method's budget grants, as in a run."""
        return _target(self.new().budget, task)

    def fit(self, task: Task, *, seed: int = 0, report: Report | None = None) -> Method:
        """Return an instance fitted on the task's training videos."""
        method = self.new(seed)
        method.fit(task.train, task.seen_classes, self.target(task), report or Report())
        return method

    def fitted(self) -> tuple[Task, Method]:
        """Return a task and an instance fitted on it."""
        task = self.task()
        return task, self.fit(task)

    def scores(self, task: Task, *, seed: int = 0) -> NDArray[Any]:
        """Return the scores of the task's test videos after a fit."""
        return np.asarray(self.fit(task, seed=seed).score(task.test, task.test_classes))


@dataclass(frozen=True)
class Check:
    """One named check.

    Attributes
    ----------
    name
        The name in ``--only`` and ``expected_failed_checks``.
    doc
        What the check means, and where to look if it fails.
    run
        Raises :class:`CheckFailed` or :class:`CheckSkipped`; any other exception is a failure, too.
    """

    name: str
    doc: str
    run: Callable[[Subject], None]

    @property
    def meaning(self) -> str:
        """The first paragraph of ``doc``, in one line."""
        return " ".join(self.doc.split("\n\n")[0].split())


CHECKS: dict[str, Check] = {}


def check(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
    """Register ``check_some_name`` as the check ``some-name``; its docstring is its description."""
    name = function.__name__.removeprefix("check_").replace("_", "-")
    doc = "\n".join(line.strip() for line in (function.__doc__ or "").strip().splitlines())
    CHECKS[name] = Check(name, doc, function)
    return function


def require(condition: object, sentence: str) -> None:
    """Raise :class:`CheckFailed` with ``sentence`` unless ``condition`` holds."""
    if not condition:
        raise CheckFailed(sentence)


def require_same(got: NDArray[Any], wanted: NDArray[Any], sentence: str, tolerance: float = TOLERANCE) -> None:
    """Raise :class:`CheckFailed` unless two arrays of scores agree.

    They may differ by ``tolerance`` times the largest difference between the scores of a video.

    Numbers added to all scores of a video count only with their rounding errors: they could hide what depends on more.
    """
    got, wanted = np.asarray(got, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    require(got.shape == wanted.shape, f"{sentence} (shapes {got.shape} and {wanted.shape}).")
    if not got.size:
        return
    scale, gap = np.abs(wanted).max(), np.abs(got - wanted).max()
    spread = np.ptp(wanted, axis=1).max() if wanted.ndim == 2 and wanted.shape[1] > 1 else scale
    allowed = tolerance * spread + _ROUNDING * scale
    require(gap <= allowed, f"{sentence} (by up to {gap:.3g}, where scores reach {scale:.3g}).")
