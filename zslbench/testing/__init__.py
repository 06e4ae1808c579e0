"""The conformance kit: named checks that every method should pass, for the command line and for pytest.

``zslbench check my-method`` runs them on an installed plugin. A plugin's own tests run them with
:func:`parametrize_with_checks`. As in scikit-learn's ``check_estimator``, a check says what is wrong and where to look.
A method can declare checks that it fails on purpose, with the reason, in ``expected_failed_checks``.
"""

from __future__ import annotations

# isort: off
# Each module registers its checks when it is imported; this is the order in which they run and are listed.
# A method can do something only at its first fit, so the checks of traces come before all others that fit it.
from zslbench.testing import _checks_metadata, _checks_traces, _checks_scores, _checks_fit  # noqa: F401
from zslbench.testing import _checks_information, _checks_process, _checks_saving  # noqa: F401

# isort: on
from zslbench.testing._check import CHECKS, Check, CheckFailed, CheckSkipped
from zslbench.testing.parametrize import parametrize_with_checks
from zslbench.testing.runner import CheckState, Verdict, check_method
from zslbench.testing.tiny import tiny_task
from zslbench.testing.world import World, linear_world

__all__ = [
    "CHECKS", "Check", "CheckFailed", "CheckSkipped", "CheckState", "Verdict", "World", "check_method", "linear_world",
    "parametrize_with_checks", "tiny_task",
]  # fmt: skip
