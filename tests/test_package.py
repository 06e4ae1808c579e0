"""``import zslbench`` offers what a plugin needs: typed, and without importing a library."""

import ast
import inspect
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import setuptools
import yaml

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


def test_on_a_package_index_every_link_of_readme_is_an_address_of_this_version(monkeypatch):
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    runpy.run_path(str(ROOT / "setup.py"))
    targets = re.findall(r"\]\(([^)\s]+)\)", given["long_description"])
    assert len(targets) > 20
    version = f"/v{zslbench.__version__}/"
    assert not [target for target in targets if not (target.startswith("#") or re.match(r"https://", target))]
    raw = [target for target in targets if target.startswith("https://raw.")]
    assert raw
    for target in [*raw, *(target for target in targets if "/blob/" in target)]:
        assert (ROOT / target.partition(version)[2].partition("#")[0]).exists(), target


BUILD = "import setuptools.build_meta as build, sys; getattr(build, sys.argv[1])(sys.argv[2])"


def copy_tracked(folder, keep=lambda name: True):
    """Copy the files that git tracks, and that ``keep`` chooses; return their names."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone of the repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file() and keep(name)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return set(names)


def built(kind, source, folder):
    """Build an sdist or a wheel of a folder; return the file."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", BUILD, f"build_{kind}", folder], cwd=source, capture_output=True, check=True)
    return next(folder.iterdir())


@pytest.mark.slow
def test_the_sdist_holds_every_tracked_file(tmp_path):
    tracked = copy_tracked(tmp_path / "source")
    with tarfile.open(built("sdist", tmp_path / "source", tmp_path / "dist")) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked - held == set()


def enters_the_image(name):
    """Tell whether Docker copies a file: .dockerignore leaves out all but the lines with an exclamation mark."""
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    return name.split("/")[0] in {line[1:] for line in lines if line.startswith("!")}


@pytest.mark.slow
def test_the_files_of_the_image_make_the_whole_wheel(tmp_path):
    copy_tracked(tmp_path / "all")
    copy_tracked(tmp_path / "image", enters_the_image)
    whole, image = (
        zipfile.ZipFile(built("wheel", tmp_path / source, tmp_path / f"{source}.dist")).namelist()
        for source in ("all", "image")
    )
    assert sorted(image) == sorted(whole)
    assert enters_the_image("constraints.txt")  # the install reads it


def test_the_image_runs_the_quick_start():
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"^## Quick start.*?^```sh\n.*?(zslbench run [^\n]*)\n", readme, re.DOTALL | re.MULTILINE)[1]
    assert f" {command} " in (ROOT / "Dockerfile").read_text()


def test_the_workflow_runs_what_a_submission_must_pass_with_pinned_actions():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    used = [step["uses"] for step in steps if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", action) for action in used)


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_a_form_for_issues_has_the_keys_that_github_requires(path):
    form = yaml.safe_load(path.read_text())
    if path.stem == "config":
        assert set(form) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert all(field["type"] in {"input", "textarea"} and field["attributes"]["label"] for field in form["body"])
