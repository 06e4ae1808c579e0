"""The table of sizes in docs/performance.md, and the tool that measures it."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from zslbench.registry import METHODS

ROOT = Path(__file__).parent.parent.parent
TOOL = ROOT / "tools" / "measure_sizes.py"


@pytest.fixture(scope="module")
def tool():
    return runpy.run_path(str(TOOL))


def record(videos, seconds, **more):
    return {"method": "ridge", "videos": videos, "seconds": seconds, "peak_mb": 1234, **more}


def test_growth_is_the_exponent_between_the_smallest_and_the_largest_size_that_ended(tool):
    over = {"method": "ridge", "videos": 120_000, "peak_mb": 9, "over": 300}
    row = [record(6_800, 2.0), record(60_000, 2.0 * (60_000 / 6_800) ** 1.5), over]
    assert tool["growth"](row) == "1.5"
    assert tool["growth"]([row[0], None, over]) == "-"


def test_cells_say_what_was_not_measured_or_did_not_end(tool):
    records = [record(6_800, 2.04), {"method": "ridge", "videos": 60_000, "peak_mb": 9, "over": 300}]
    assert tool["table"](records, ["ridge"]).splitlines()[-1] == "| `ridge` | 2.0, 1,234 | over 300 | - | - |"
    refused = [{"method": "bike", "videos": 6_800, "peak_mb": 9, "failed": "features and class vectors differ"}]
    assert tool["table"](refused, ["bike"]).splitlines()[-1] == "| `bike` | refused | - | - | - |"


def test_the_page_has_a_row_for_every_method():
    between = (ROOT / "docs" / "performance.md").read_text().split("<!-- sizes -->")[1]
    assert set(METHODS.names()) <= set(re.findall(r"^\| `([^`]+)` \|", between, re.MULTILINE))


def test_a_measurement_in_the_file_is_not_repeated(tool, tmp_path, monkeypatch, capsys):
    cache = tmp_path / "cache.jsonl"
    cache.write_text(json.dumps(record(6_800, 1.0)) + "\n")
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(cache), "--method", "ridge", "--videos", "6800"])
    tool["main"]()
    assert capsys.readouterr().out == ""
    assert len(cache.read_text().splitlines()) == 1


@pytest.mark.slow
def test_a_process_that_takes_too_long_is_recorded_as_such(tool, monkeypatch):
    monkeypatch.setitem(tool["PER_CLASS"], 6_800, 1)  # for this process; the other one ends while it makes features
    found = tool["measured"]("ridge", 6_800, 1)
    assert found["over"] == 1
    assert found["peak_mb"] > 10
