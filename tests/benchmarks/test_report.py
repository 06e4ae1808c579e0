"""``zslbench report`` of 10,000 cells: seconds and size of the page, for one large table and for many small ones."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import fake_record, fake_store

_spec = importlib.util.spec_from_file_location("leaderboard_cells", Path(__file__).with_name("test_leaderboard.py"))
leaderboard_cells = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(leaderboard_cells)


def write_tables(root, n_tables=40, n_methods=25, n_splits=10, n_classes=51):
    rng = np.random.default_rng(0)
    names = tuple(f"class {i}" for i in range(n_classes))
    fake_store(
        root,
        (
            fake_record(
                f"method-{m}", s, family=f"family-{t}", names=names, scored=(100,) * n_classes,
                top1=tuple(rng.binomial(100, 0.2, n_classes).tolist()), fit_seconds=float(rng.uniform(1, 9)),
                metrics={"hubness": 1.0},
            )
            for t in range(n_tables) for m in range(n_methods) for s in range(n_splits)
        ),
    )  # fmt: skip


def report(root):
    """Return (wall seconds, processor seconds, megabytes) of one call of the command."""
    command = [sys.executable, "-m", "zslbench", "report", "--results", root]
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    wall, after = time.perf_counter() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used, (root / "report.html").stat().st_size / 1e6


@pytest.mark.slow
@pytest.mark.parametrize("write", [leaderboard_cells.write_cells, write_tables], ids=["one-table", "forty-tables"])
def test_report_of_ten_thousand_cells(tmp_path, benchmark, write):
    write(tmp_path)
    wall, cpu, megabytes = benchmark.pedantic(report, args=(tmp_path,), rounds=1)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "10,000 cells" in text
    assert "Drawn: the best 40 of 200 rows." in text or "Shown: 12 of 40 tables" in text
    benchmark.extra_info |= {"wall": wall, "cpu": cpu, "megabytes": megabytes, "wanted": "a minute, 10 MB at most"}
