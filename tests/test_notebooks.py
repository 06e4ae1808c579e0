"""The notebooks of examples/ run from top to bottom, and are kept without output."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, sys.argv[2])
"""
NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == {"own_features", "own_method", "reading_results"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_output(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"])]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    for name in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(name)
    # In a process of its own: a kernel that inherits the pipes of pytest's workers waits for ever.
    subprocess.run([sys.executable, "-c", EXECUTE, path, "out.ipynb"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                   capture_output=True, timeout=300, check=True)  # fmt: skip
    text = (tmp_path / "out.ipynb").read_text(encoding="utf-8")
    assert "<table" in text  # results show their leaderboard
    assert "Traceback" not in text
