"""Run checks one by one; no check affects another."""

from __future__ import annotations

import contextlib
import enum
import io
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zslbench.errors import NotFoundError, suggest
from zslbench.method import Method
from zslbench.testing._check import CHECKS, Check, CheckFailed, CheckSkipped, Subject


class CheckState(enum.StrEnum):
    """The result of a check.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> [verdict.state for verdict in check_method(get_method("eszsl"), only=["embed"])]  # it has no embed()
    [<CheckState.SKIPPED: 'skipped'>]
    """

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED = "expected"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """The result of one check; ``reason`` explains every state except ``passed``.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> from zslbench.testing import check_method
    >>> list(check_method(get_method("ridge"), only=["class-order"]))
    [Verdict(check='class-order', state=<CheckState.PASSED: 'passed'>, reason='')]
    """

    check: str
    state: CheckState
    reason: str = ""


def check_method(
    method: type[Method], params: Mapping[str, Any] | None = None, *, only: Iterable[str] = ()
) -> Iterator[Verdict]:
    """Yield the result of each check of a method.

    Parameters
    ----------
    method
        The class; it need not be registered.
    params
        Parameters for the checks; they override its ``test_params``.
    only
        Names of checks; all by default.

    Raises
    ------
    NotFoundError
        No check has one of these names.
    """
    subject = Subject.of(method, params)
    return (run_check(one, subject) for one in select(only))


def select(only: Iterable[str] = ()) -> list[Check]:
    """Return the checks of these names; all checks if no name is given."""
    wanted = list(only)
    for name in wanted:
        if name not in CHECKS:
            raise NotFoundError(f"no check is called {name!r}.{suggest(name, CHECKS)}")
    return [one for name, one in CHECKS.items() if not wanted or name in wanted]


def run_check(one: Check, subject: Subject) -> Verdict:
    """Return the result of one check; any exception of the method is a failure of this check only.

    The method's output and warnings are dropped. The check ``silence`` reports output.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one.run(subject)
    except CheckSkipped as skipped:
        return Verdict(one.name, CheckState.SKIPPED, str(skipped))
    except CheckFailed as failed:
        reason = str(failed)
    except (Exception, SystemExit) as crash:
        reason = _last_lines(crash)
    else:
        reason = ""
    expected = subject.expected_failures.get(one.name)
    if expected is None:
        return Verdict(one.name, CheckState.FAILED if reason else CheckState.PASSED, reason)
    if not reason:
        return Verdict(one.name, CheckState.FAILED, stale(expected))
    return Verdict(one.name, CheckState.EXPECTED, expected)


def stale(reason: str) -> str:
    """Return the sentence for a check that was declared to fail and passes."""
    return f"declared to fail ({reason}), but passes; remove it from expected_failed_checks."


def _last_lines(error: BaseException) -> str:
    """Return an exception and the line that raised it."""
    text = f"it raises {''.join(traceback.format_exception_only(error)).strip()}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text}\n(in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno})" if frames else text
