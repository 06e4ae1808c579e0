"""``import zslbench`` offers what a plugin needs: typed, and without importing a library."""

import ast
import inspect
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import zslbench

ROOT = Path(__file__).parents[1]

HEAVY = {"torch", "numpy", "sklearn", "pandas", "mlflow", "pydantic", "scipy"}


def for_type_checkers() -> dict[str, str]:
    """Return each name that a type checker sees in the package, and the module that it comes from."""
    tree = ast.parse(Path(zslbench.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    return {alias.name: node.module for node in block.body for alias in node.names}


@pytest.mark.parametrize("name", zslbench.__all__)
def test_a_name_is_the_same_object_to_a_program_and_to_a_type_checker(name):
    module = import_module(for_type_checkers()[name])
    # A room can be called as the function of its name.
    assert inspect.unwrap(getattr(zslbench, name)) is inspect.unwrap(getattr(module, name))


def test_type_checkers_see_exactly_the_promised_names():
    assert sorted(for_type_checkers()) == sorted(zslbench.__all__)


def test_the_promised_names_are_listed_and_an_unknown_one_is_an_attribute_error():
    assert set(zslbench.__all__) <= set(dir(zslbench))
    with pytest.raises(AttributeError, match="module 'zslbench' has no attribute 'Methods'"):
        zslbench.Methods  # noqa: B018


def test_importing_the_package_imports_no_library():
    code = f"import sys, zslbench; dir(zslbench); print(sorted({HEAVY} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_room_that_is_a_package_belongs_to_the_wheel():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {"zslbench", *(".".join(p.parent.relative_to(ROOT).parts) for p in ROOT.glob("zslbench/**/__init__.py"))}
    left_out = {name for name in rooms if "template" in name}  # the template of a plugin is data
    assert rooms - left_out == {name for name in packages if name.split(".")[0] == "zslbench"}
