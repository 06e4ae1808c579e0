"""A public name is defined in one module only, and tools/public_names.py finds the others."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def repeated_names(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    from public_names import repeated_names

    return repeated_names


def test_no_public_name_has_two_meanings(repeated_names):
    assert repeated_names(ROOT) == {}


def test_classes_functions_constants_and_aliases_count_in_public_modules(repeated_names, tmp_path):
    text = (
        "class A: ...\ndef b(): ...\nC, D = 1, 2\nE: int = 3\nif C:\n    F = 4\nx.G = 5\n_H = 6\ndef i():\n    J = 7\n"
    )
    for name in ("zslbench/one.py", "zslbench/room/two.py", "methods/three.py", "zslbench/_four.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    places = ["zslbench/one.py", "zslbench/room/two.py", "methods/three.py"]
    assert repeated_names(tmp_path) == {name: sorted(places) for name in ("A", "C", "D", "E", "F", "b", "i")}


def test_imported_names_and_commands_do_not_count(repeated_names, tmp_path):
    text = "import os\nfrom os import path\n@click.command()\ndef command(): ...\n@command.command('x')\ndef x(): ...\n"
    (tmp_path / "zslbench").mkdir()
    for name in ("one", "two"):
        (tmp_path / "zslbench" / f"{name}.py").write_text(text)
    assert repeated_names(tmp_path) == {}
