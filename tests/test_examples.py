"""The examples in docstrings run, and every public class has one."""

import ast
import doctest
import importlib
import shutil
from pathlib import Path

import pytest
from videos_made import write_video

from zslbench.registry import METHODS, STEPS

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for path in (ROOT / "zslbench").rglob("*.py") if "testing/template" not in path.as_posix())
METHOD_MODULES = sorted((ROOT / "methods").glob("*.py"))
SLOW = {
    "zslbench.api",
    "zslbench.tracking.projection",
    "zslbench.tracking.tracker",
    "zslbench.tracking.trials",
    "zslbench.tune.study",
}  # MLflow opens its database in seconds


def name_of(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return f"zslbench_{name}" if path in METHOD_MODULES else name


WITH_EXAMPLES = [
    pytest.param(path, marks=[pytest.mark.slow] * (name_of(path) in SLOW), id=name_of(path))
    for path in MODULES + METHOD_MODULES
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", WITH_EXAMPLES)
def test_examples_run(path, tmp_path, monkeypatch, request):
    """Each module's examples run in a folder of their own, those of video/ beside a clip of 20 frames."""
    monkeypatch.chdir(tmp_path)
    name = name_of(path)
    if "video" in name:
        write_video(tmp_path / "clip.mp4")
    if name == "zslbench.tracking.tracker":
        (tmp_path / "results").mkdir()
        shutil.copy(request.getfixturevalue("empty_mlflow"), tmp_path / "results")
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert tried
    assert not failed


def public_classes(path):
    """Return (name, docstring) of the classes of a public module that are public themselves."""
    parts = name_of(path).split(".")
    if "cli" in parts or any(part.startswith("_") for part in parts):
        return []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return [(f"{'.'.join(parts)}.{node.name}", ast.get_docstring(node) or "") for node in found]


def test_every_public_class_has_an_example():
    missing = [name for path in MODULES for name, text in public_classes(path) if ">>> " not in text]
    assert not missing


@pytest.mark.parametrize("registry", [METHODS, STEPS], ids=lambda registry: registry.noun)
def test_every_built_in_method_and_step_has_an_example(registry):
    built_in = [listed.name for listed in registry if listed.distribution.startswith("zslbench ")]
    assert [name for name in built_in if ">>> " not in (registry.get(name).__doc__ or "")] == []
