"""``zslbench check`` and ``zslbench new-method`` as a plugin's author meets them."""

import json
import os
import subprocess
import sys

import pytest
from plugins import install

from zslbench.testing import CHECKS

ROLLS_DICE = """
import numpy as np
from zslbench.method import Method, MethodInfo, MethodParams


class RollsDice(Method):
    info = MethodInfo(name="rolls-dice", summary="Rolls dice.")
    presets = {"loaded": {"sides": 0}}
    test_params = {"sides": 2}
    expected_failed_checks = {"score-before-fit": "dice learn nothing"}

    class Params(MethodParams):
        \"\"\"sides: number of sides of the die.\"\"\"
        sides: int = 6

    def fit(self, seen, classes, target, report):
        assert self.params.sides < 6, "the tests throw small dice"

    def score(self, videos, classes):
        return np.random.default_rng().random((len(videos), len(classes)))
"""


@pytest.fixture
def dice(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "dice", "dice", ROLLS_DICE, {"rolls-dice": "dice:RollsDice"}))


def rows(out):
    return {
        line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines() if line.split()[:1] and line[0] != " "
    }


@pytest.mark.slow
def test_a_table_tells_each_check_and_the_exit_code_that_some_failed(zslbench, dice):
    code, out, _ = zslbench("check", "rolls-dice")
    found = rows(out)
    assert code == 1
    assert set(CHECKS) <= set(found)
    assert found["determinism"][0] == "failed"
    assert "different scores" in found["determinism"][1]
    assert found["score-before-fit"] == ["expected", "dice learn nothing"]
    assert found["saving"][0] == "skipped"
    assert found["parameters"] == ["passed"]
    assert " failed, 1 expected, 5 skipped" in out  # three checks ask for what this method does not do


def test_only_the_named_checks_run_and_passing_ones_exit_with_0(zslbench, dice):
    code, out, _ = zslbench("check", "rolls-dice", "--only", "scores", "--only", "info")
    assert code == 0
    assert "2 passed" in out
    assert "determinism" not in out


def test_settings_and_presets_reach_the_method(zslbench, dice):
    code, out, _ = zslbench("check", "rolls-dice:loaded", "--only", "scores", "--set", "rolls-dice.sides=6")
    assert code == 1
    assert "the tests throw small dice" in out
    assert zslbench("check", "rolls-dice:loaded", "--only", "scores")[0] == 0  # test_params win over the preset


def test_the_list_names_every_check_with_its_meaning(zslbench):
    code, out, _ = zslbench("check", "--list")
    assert code == 0
    assert all(name in out for name in CHECKS)
    assert "Return the same scores in two fits with the same seed." in " ".join(out.split())


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((), "zslbench check ridge"),
        (("rigde",), "Did you mean ridge"),
        (("ridge", "--only", "determinsm"), "Did you mean determinism"),
        (("ridge", "--set", "eszsl.gamma=1"), "--set ridge.PARAMETER"),
        (("ridge", "--set", "ridge.alpah=1"), "Did you mean alpha"),
    ],
)
def test_a_mistake_is_one_sentence(zslbench, args, sentence):
    code, _, err = zslbench("check", *args)
    assert code == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ridge", "installed already"),
        ("json", "module json exists"),
        ("My_Method", "cannot name a method"),
        ("lambda", "a keyword of Python"),
        ("../up", "cannot name a method"),
        ("there", "already exists"),
    ],
)
def test_a_name_that_is_taken_or_no_name_is_one_sentence(zslbench, tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    code, _, err = zslbench("new-method", name)
    assert code == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]


def test_every_file_is_filled_in(zslbench, tmp_path):
    code, out, _ = zslbench("new-method", "my-idea", "--dir", tmp_path / "package")
    assert code == 0
    files = {
        str(p.relative_to(tmp_path / "package")): p.read_text()
        for p in (tmp_path / "package").rglob("*.*")
        if p.is_file()
    }
    assert set(files) == {
        ".github/workflows/tests.yml", ".gitignore", "README.md", "pyproject.toml", "my_idea/__init__.py",
        "tests/test_method.py",
    }  # fmt: skip
    assert not [name for name, text in files.items() if "$" in text.replace("${{ matrix.python }}", "")]
    assert 'my-idea = "my_idea:MyIdea"' in files["pyproject.toml"]
    assert str(tmp_path / "package" / "my_idea") in out


@pytest.mark.slow
def test_a_new_package_is_installed_checked_and_passes_its_own_tests(zslbench, tmp_path):
    package, site = tmp_path / "package", tmp_path / "site"
    assert zslbench("new-method", "my-idea", "--dir", package)[0] == 0
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([*pip, package], check=True, capture_output=True)
    env = os.environ | {"PYTHONPATH": str(site)}

    def call(*args):
        return subprocess.run([sys.executable, "-m", *args], env=env, cwd=package, capture_output=True, text=True)

    checked = call("zslbench", "check", "my-idea")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"\n{len(CHECKS) - 3} passed" in checked.stdout  # three do not apply
    tested = call("pytest", "-q", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert f"{len(CHECKS) - 1} passed, 3 skipped" in tested.stdout
    ran = call("zslbench", "run", "--method", "my-idea", "--dataset", "olympicsports16", "--splits", "1", "--no-track")
    assert ran.returncode == 0, ran.stderr
    assert "my-idea" in ran.stdout


@pytest.mark.slow
def test_a_verdict_is_recorded_by_cells_and_asked_for(zslbench, dice, tmp_path, monkeypatch):
    from zslbench.cells import checked
    from zslbench.registry import get_method

    results = tmp_path / "runs"
    run = ("run", "--dataset", "olympicsports16", "--splits", "1", "--no-track", "--results", results)
    code, _, err = zslbench(*run, "--method", "rolls-dice", "--strict")
    assert code == 2
    assert "run 'zslbench check rolls-dice'" in err
    checked.write_checked(get_method("rolls-dice"), ("determinism",), ())
    code, _, err = zslbench(*run, "--method", "rolls-dice", "--strict")
    assert code == 2
    assert "failed the checks determinism" in err
    checked.write_checked(get_method("rolls-dice"), (), ())
    code, _, err = zslbench(
        *run, "--method", "rolls-dice", "--method", "ridge", "--strict", "--set", "rolls-dice.sides=2"
    )
    assert code == 0, err + "".join(p.read_text() for p in results.rglob("error.json"))
    _, out, _ = zslbench("leaderboard", "--results", results, "--checked", "--explain")
    assert "rolls-dice" in out
    assert "ridge" not in out
    assert "Passed 'zslbench check' with this code: rolls-dice" in out
    _, out, _ = zslbench("leaderboard", "--results", results, "--format", "json")
    assert {row["label"]: row["checked"] for row in json.loads(out)["rows"]} == {"rolls-dice": True, "ridge": False}
    checked.write_checked(get_method("ridge"), (), ())  # a check after the run, of the same source
    _, out, _ = zslbench("leaderboard", "--results", results, "--format", "json", "--checked")
    assert {row["label"] for row in json.loads(out)["rows"]} == {"rolls-dice", "ridge"}
    monkeypatch.setattr(checked, "__version__", "9")
    assert checked.read_checked(checked.source_digest(get_method("rolls-dice"))) is None


def test_only_a_check_by_all_checks_keeps_a_verdict(zslbench, dice, monkeypatch):
    from zslbench import testing
    from zslbench.cells import checked
    from zslbench.registry import get_method
    from zslbench.testing import runner

    digest = checked.source_digest(get_method("rolls-dice"))
    zslbench("check", "rolls-dice", "--only", "info")
    assert checked.read_checked(digest) is None
    monkeypatch.setattr(runner, "CHECKS", {name: testing.CHECKS[name] for name in ("info", "determinism")})
    assert zslbench("check", "rolls-dice")[0] == 1
    assert checked.read_checked(digest).failed == ("determinism",)
