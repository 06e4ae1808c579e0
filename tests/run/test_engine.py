"""The whole command in a child process, with methods that misbehave."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from plugins import install_misbehaving
from servers import hears_ctrl_c
from tiny import make_features

from zslbench.cells.cell import State
from zslbench.cells.store import Store
from zslbench.run.workers import Limits, dask_client

pytestmark = pytest.mark.versions


@pytest.fixture
def command(tmp_path, data_root):
    make_features()
    plugins = install_misbehaving(tmp_path / "plugins")
    env = os.environ | {"PYTHONPATH": str(plugins), "ZSLBENCH_DATA_ROOT": str(data_root)}
    line = [sys.executable, "-m", "zslbench", "run", "--dataset", "hmdb51", "--results", str(tmp_path / "runs")]

    def start(*args):
        return subprocess.Popen(
            [*line, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c
        )

    return start


def states(tmp_path):
    return {(r.cell.method, r.cell.split): r.result.state for r in Store(tmp_path / "runs").records()}


@pytest.mark.slow
def test_a_method_that_raises_exits_sleeps_or_hoards_is_a_row_and_all_others_finish(tmp_path, command):
    methods = ["good", "raises", "exits", "sleeps", "hoards"]
    options = [part for name in methods for part in ("--method", name)]
    child = command(
        *options, "--splits", "2", "--workers", "2", "--timeout", "10", "--memory-limit", "1GiB", "--no-track"
    )
    _, err = child.communicate(timeout=240)
    expected = {
        "good": State.DONE,
        "raises": State.FAILED,
        "exits": State.KILLED,
        "sleeps": State.TIMEOUT,
        "hoards": State.OUT_OF_MEMORY,
    }
    assert states(tmp_path) == {(m, i): expected[m] for m in methods for i in range(2)}, err
    assert child.returncode == 1
    store = Store(tmp_path / "runs")
    (raised, _) = [r for r in store.records() if r.cell.method == "raises"]
    error = json.loads((store.path(raised.cell.id) / "error.json").read_text())
    assert "the method's own mistake" in error["traceback"]


@pytest.mark.slow
def test_inline_a_method_that_raises_stops_no_other(tmp_path, command):
    child = command("--method", "raises", "--method", "good", "--splits", "2", "--no-track")
    _, err = child.communicate(timeout=120)
    assert states(tmp_path) == {
        (m, i): s for i in range(2) for m, s in (("raises", State.FAILED), ("good", State.DONE))
    }, err


def wait_for(condition, child):
    for _ in range(2400):
        if condition():
            return
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came to that")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_after_kill_9_every_finished_cell_is_kept_and_none_runs_twice(tmp_path, command, workers):
    log = tmp_path / "fits"
    args = ("--method", "slow", "--set", f"slow.log={log}", "--splits", "12", "--no-track", *workers)
    child = command(*args)
    cells = tmp_path / "runs" / "cells"
    finished = lambda: [p for p in cells.glob("*") if not p.name.startswith(".")] if cells.exists() else []  # noqa: E731
    wait_for(lambda: len(finished()) >= 3, child)
    child.kill()
    child.communicate()
    time.sleep(1.0)  # orphaned workers notice that their launcher is gone
    kept = {p.name: (p / "result.json").stat().st_mtime_ns for p in finished()}
    assert 3 <= len(kept) < 12
    fits_before = len(log.read_text().splitlines())
    child = command(*args)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert {p.name: (p / "result.json").stat().st_mtime_ns for p in finished() if p.name in kept} == kept
    assert set(states(tmp_path).values()) == {State.DONE}
    assert len(states(tmp_path)) == 12
    assert len(log.read_text().splitlines()) - fits_before == 12 - len(kept)
    assert f"{len(kept)} kept from before" in err


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path, command):
    child = command("--method", "slow", "--set", f"slow.log={tmp_path / 'fits'}", "--splits", "30", "--no-track")
    wait_for(lambda: list((tmp_path / "runs" / "cells").glob("[!.]*")), child)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "give the same command again to continue" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "runs" / "cells").glob(".unfinished-*"))


@pytest.mark.slow
def test_rerun_chooses_what_runs(tmp_path, command):
    args = ("--method", "raises", "--method", "good", "--splits", "1", "--no-track")

    def run(*more):
        child = command(*args, *more)
        return child.communicate(timeout=120)[1]

    assert "2 to run" in run()
    assert "1 kept from before, 1 to run" in run()  # the failure has no result
    assert "0 to run" in run("--rerun", "never")
    assert "1 to run" in run("--rerun", "failed")
    assert "2 to run" in run("--rerun", "all")


@pytest.mark.slow
def test_a_scheduler_that_is_away_is_one_sentence(tmp_path, command):
    child = command("--method", "good", "--scheduler", "tcp://127.0.0.1:9", "--no-track")
    _, err = child.communicate(timeout=120)
    assert child.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_any_dask_cluster_runs_the_same_plan_and_loses_only_the_guilty_cell(tmp_path, command, monkeypatch):
    """A scheduler that is not ours waits for dead workers to come back, and tries again: the launcher must not."""
    from distributed import LocalCluster

    monkeypatch.syspath_prepend(tmp_path / "plugins")  # handed on to the workers
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        address = cluster.scheduler_address
        child = command("--method", "exits", "--method", "good", "--splits", "2", "--no-track", "--scheduler", address)
        _, err = child.communicate(timeout=180)
    assert states(tmp_path) == {
        (m, i): s for i in range(2) for m, s in (("exits", State.KILLED), ("good", State.DONE))
    }, err


def test_local_workers_leave_this_process_environment_as_it_was(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with dask_client(1, None, Limits()) as client:
        assert client.submit(os.getenv, "OMP_NUM_THREADS").result() == str(os.cpu_count())
    assert dict(os.environ) == before
