"""What is made of a check: verdicts, expected failures, pytest tests."""

import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

from zslbench.errors import NotFoundError
from zslbench.method import Method, MethodInfo
from zslbench.testing import CheckState, check_method, parametrize_with_checks, tiny_task
from zslbench.videos import storage

SOURCE = """
from typing import ClassVar

import numpy as np

from zslbench.method import Method, MethodInfo
from zslbench.testing import parametrize_with_checks


class Mine(Method):
    info = MethodInfo(name="mine", summary="Sums of features.")
    expected_failed_checks: ClassVar = {"score-before-fit": "nothing is learnt", "scores": "an old fault"}

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        if len(classes) == 200:
            raise MemoryError("too many")
        return videos.pooled()[:, :1] * classes.vectors[:, 0]


@parametrize_with_checks(
    [Mine], only=["scores", "score-before-fit", "embed", "class-counts", "determinism"]
)
def test_conformance(check):
    check()
"""


class Mine(Method):
    info = MethodInfo(name="mine", summary="Sums of features.")
    test_params: ClassVar = {}
    expected_failed_checks: ClassVar = {"score-before-fit": "nothing is learnt", "determinism": "an old fault"}

    def fit(self, seen, classes, target, report):
        report.progress(5, 1)

    def score(self, videos, classes):
        if len(classes) == 200:
            raise MemoryError("too many classes")
        return videos.pooled()[:, :1] * classes.vectors[:, 0]


def states(method, *only, **params):
    return {v.check: v for v in check_method(method, params, only=only)}


def test_a_crash_is_a_failure_of_its_check_alone_and_tells_the_line():
    found = states(Mine, "class-counts", "scores")
    assert found["scores"].state is CheckState.PASSED
    assert found["class-counts"].state is CheckState.FAILED
    assert "MemoryError: too many classes" in found["class-counts"].reason
    assert "in score, " in found["class-counts"].reason
    assert "test_runner.py:" in found["class-counts"].reason


def test_a_declared_failure_is_expected_and_a_declared_pass_is_a_failure():
    found = states(Mine, "score-before-fit", "determinism", "embed")
    assert found["score-before-fit"].state is CheckState.EXPECTED
    assert found["score-before-fit"].reason == "nothing is learnt"
    assert found["determinism"].state is CheckState.FAILED
    assert "an old fault" in found["determinism"].reason
    assert found["embed"].state is CheckState.SKIPPED


def test_checks_are_chosen_by_name_with_suggestions():
    with pytest.raises(NotFoundError, match="Did you mean determinism"):
        check_method(Mine, only=["determinsm"])


def test_parameters_override_those_for_tests():
    class Scaled(Mine):
        test_params: ClassVar = {"scale": 0.0}

        class Params(Method.Params):
            scale: float

        def score(self, videos, classes):
            return super().score(videos, classes) / self.params.scale

    with np.errstate(all="ignore"):
        assert states(Scaled, "scores")["scores"].state is CheckState.FAILED
    assert states(Scaled, "scores", scale=2.0)["scores"].state is CheckState.PASSED


def test_the_decorator_names_a_test_after_method_and_check():
    mark = parametrize_with_checks([Mine], only=["scores", "embed"]).mark
    assert [case.id for case in mark.args[1]] == ["mine-scores", "mine-embed"]


@pytest.mark.slow
def test_the_checks_run_in_a_plugins_own_pytest(tmp_path):
    (tmp_path / "test_mine.py").write_text(SOURCE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--tb=line",
        "--color=no",
        "test_mine.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    name = "test_mine.py::test_conformance[mine-{}]"
    assert f"PASSED {name.format('determinism')}" in done.stdout
    assert f"XFAIL {name.format('score-before-fit')} - nothing is learnt" in done.stdout
    assert f"FAILED {name.format('class-counts')} - MemoryError: too many" in done.stdout
    assert f"FAILED {name.format('scores')}" in done.stdout
    assert "declared to fail (an old fault), but passes" in done.stdout
    assert "1 skipped" in done.stdout


def test_the_tiny_task_hides_what_a_run_hides():
    task = tiny_task()
    assert not hasattr(task.test, "labels")
    assert not set(task.seen_classes.names) & set(task.test_classes.names)
    assert not set(storage(task.train).rows) & set(storage(task.test).rows)
    assert task.seen_classes.texts is None
    assert (np.diff(task.labels) < 0).any()  # in no order
    assert (storage(task.train).store.frames >= 0).all()
