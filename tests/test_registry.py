import subprocess
import sys

import pytest
from plugins import MISBEHAVING, install

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.registry import DATASETS, METHODS, get_method

BUILT_IN = ["action2vec", "devise", "eszsl", "majority", "pooled-krr", "random", "reverse-ridge", "ridge",
            "single-lstm", "stacked-lstm"]  # fmt: skip


def test_every_built_in_plugin_is_found_and_loads():
    assert set(BUILT_IN) <= set(METHODS.names())
    assert [listed.problem for listed in (*METHODS, *DATASETS)] == [None] * len(METHODS.names() + DATASETS.names())
    assert get_dataset("ucf101").name == "ucf101"
    assert get_method("ridge").info.name == "ridge"


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    def add(name, source, entry_points):
        folder = install(tmp_path / name, name, source, entry_points)
        monkeypatch.syspath_prepend(folder)

    return add


def test_a_plugin_that_fails_to_import_is_listed_with_its_reason_and_the_rest_works(plugins):
    plugins("broken_one", "import a_package_that_is_not_there\n", {"broken": "broken_one:Method"})
    (listed,) = [listed for listed in METHODS if listed.name == "broken"]
    assert "a_package_that_is_not_there" in listed.problem
    assert get_method("ridge")
    with pytest.raises(ZslbenchError, match="broken.*cannot be imported"):
        get_method("broken")


def test_two_plugins_of_one_name_are_an_error_for_that_name_only(plugins):
    plugins("first_claim", MISBEHAVING, {"good": "first_claim:Good"})
    plugins("second_claim", MISBEHAVING, {"good": "second_claim:Good"})
    with pytest.raises(ZslbenchError, match="two plugins claim"):
        get_method("good")
    assert get_method("ridge")


def test_a_plugin_that_is_installed_or_removed_while_the_process_runs_is_noticed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    assert "good" not in METHODS.names()
    install(tmp_path, "late", MISBEHAVING, {"good": "late:Good"})
    assert get_method("good").info.name == "good"
    for each in tmp_path.glob("*.dist-info"):
        each.rename(tmp_path.parent / each.name)
    assert "good" not in METHODS.names()


@pytest.mark.parametrize(
    ("target", "sentence"),
    [("wrong:NAMES", "not a subclass"), ("wrong:Slow", "calls itself 'slow'"), ("wrong:Nowhere", "cannot be imported")],
)
def test_what_is_no_method_is_told(plugins, target, sentence):
    plugins("wrong", MISBEHAVING + "\nNAMES = []\n", {"odd": target})
    with pytest.raises(ZslbenchError, match=sentence):
        get_method("odd")


@pytest.mark.slow
def test_a_package_of_a_stranger_is_installed_listed_and_run(tmp_path):
    import os
    from pathlib import Path

    target = tmp_path / "site"
    package = Path(__file__).parent / "plugin_package"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", target]
    subprocess.run([*pip, package], check=True, capture_output=True)
    env = os.environ | {"PYTHONPATH": str(target)}
    ask = lambda *a: subprocess.run(  # noqa: E731
        [sys.executable, "-m", "zslbench", *a], env=env, capture_output=True, text=True, cwd=tmp_path
    )
    listed = ask("methods")
    assert "nearest-seen" in listed.stdout
    assert "zslbench-nearest-seen 1.0" in listed.stdout
    ran = ask("run", "--method", "nearest-seen", "--dataset", "olympicsports16", "--splits", "1")
    assert ran.returncode == 0, ran.stderr
    assert "nearest-seen" in ran.stdout
    assert "SIMULATED" in ran.stderr
