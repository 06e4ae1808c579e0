"""The checks as pytest tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zslbench.method import Method
from zslbench.testing._check import Check, CheckFailed, CheckSkipped, Subject
from zslbench.testing.runner import select, stale


def parametrize_with_checks(methods: Iterable[type[Method]], *, only: Iterable[str] = ()) -> Callable[[Any], Any]:
    """Return a decorator that makes one test per method and check from a function with the argument ``check``.

    ::

        @parametrize_with_checks([Mine])
        def test_conformance(check):
            check()

    Tests are called ``mine-determinism`` and so on. A check that the method declares in ``expected_failed_checks`` is
    an expected failure (xfail) with the declared reason. If it passes, the test fails.

    Parameters
    ----------
    methods
        Method classes; they need not be registered.
    only
        Names of checks; all by default.
    """
    import pytest

    def case(subject: Subject, one: Check) -> Any:
        expected = subject.expected_failures.get(one.name)

        def run() -> None:
            try:
                one.run(subject)
            except CheckSkipped as skipped:
                pytest.skip(str(skipped))
            except Exception as error:
                if expected is not None:
                    pytest.xfail(expected)
                if isinstance(error, CheckFailed):
                    raise CheckFailed(f"{error}\n\n{one.doc}") from error.__cause__
                raise
            if expected is not None:
                pytest.fail(stale(expected), pytrace=False)

        return pytest.param(run, id=f"{subject.name}-{one.name}")

    checks = select(only)
    cases = [case(Subject.of(method), one) for method in methods for one in checks]
    mark: Callable[[Any], Any] = pytest.mark.parametrize("check", cases)
    return mark
