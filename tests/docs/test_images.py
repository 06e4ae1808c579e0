"""Pictures in the documentation are those of the code of now."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
PAGES = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
OTHER_TOOLS = {"statistics-false-positives.png"}  # tools/validate_statistics.py draws it


@pytest.fixture(scope="module")
def tool():
    return runpy.run_path(str(ROOT / "tools" / "screenshots.py"))


def test_each_screenshot_was_drawn_by_the_code_of_now(tool):
    drawn = json.loads((IMAGES / "drawn.json").read_text(encoding="utf-8"))
    assert set(drawn) == set(tool["PICTURES"])
    assert tool["changed"]() == [], "run make pictures, and look at the pictures"


def test_each_file_that_a_screenshot_shows_exists(tool):
    for _, patterns in tool["PICTURES"].values():
        assert all(list(ROOT.glob(pattern)) for pattern in patterns)


def test_a_change_of_code_makes_a_screenshot_old_and_a_comment_does_not(tool, monkeypatch, tmp_path):
    patterns = tool["PICTURES"]["mlflow-run"][1]
    for pattern in patterns:
        copy = tmp_path / pattern
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / pattern).read_bytes())
    of_now = tool["shown"]("mlflow-run")
    monkeypatch.setitem(tool["shown"].__globals__, "ROOT", tmp_path)
    assert tool["shown"]("mlflow-run") == of_now
    with copy.open("a", encoding="utf-8") as file:
        file.write("# a comment\n")
    assert tool["shown"]("mlflow-run") == of_now
    with copy.open("a", encoding="utf-8") as file:
        file.write("_width = 3\n")
    assert tool["shown"]("mlflow-run") != of_now


def test_each_picture_is_drawn_by_a_tool_and_shown_on_a_page(tool):
    shown = {name for page in PAGES for name in re.findall(r"images/([\w-]+\.png)", page.read_text(encoding="utf-8"))}
    pictures = {path.name for path in IMAGES.glob("*.png")}
    assert shown == pictures
    assert pictures == {f"{name}.png" for name in tool["PICTURES"]} | OTHER_TOOLS
