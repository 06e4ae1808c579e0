"""One worker process beside the run: whatever a method does to its process is a row, and the others run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from plugins import install_hostile
from servers import hears_ctrl_c
from tiny import make_features, plan

from zslbench.cells.cell import State
from zslbench.cells.store import Store
from zslbench.run.engine import Watcher, run_inline
from zslbench.run.queue import CellQueue
from zslbench.run.supervised import Worker, run_supervised


class Listening(Watcher):
    def __init__(self):
        self.printed = []

    def output(self, text):
        self.printed.append(text)


@pytest.fixture
def children(tmp_path, monkeypatch):
    """Install the plugins; return a function of the processes that a method has started and that still run."""
    make_features(per_class=3)
    monkeypatch.syspath_prepend(install_hostile(tmp_path / "plugins"))
    monkeypatch.setenv("CHILDREN", str(tmp_path / "children"))

    def alive():
        found = (tmp_path / "children").read_text().split()
        assert len(found) >= 2
        return [
            int(pid) for pid in found if psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != "zombie"
        ]

    return alive


def run(tmp_path, *methods, **options):
    """Return method -> result of one cell of each method, and what was printed."""
    store, watcher = Store(tmp_path / "runs"), Listening()
    store.prepare()
    with Worker() as worker:
        run_supervised(CellQueue(plan(method=methods, splits="1"), store), watcher, worker, **options)
    results = {record.cell.method: record.result for record in store.records()}
    assert set(results) == set(methods)
    assert list(store.cells.glob(".unfinished-*")) == []
    assert list(store.locks.iterdir()) == []
    return results, watcher.printed


@pytest.mark.slow
def test_a_method_that_ends_its_process_is_a_row_that_says_how_and_the_next_one_runs(tmp_path, children):
    results, _ = run(tmp_path, "leaves", "kills-the-keeper", "closes-all", "good")
    assert {name: (result.state, result.failure and result.failure.message) for name, result in results.items()} == {
        "leaves": (State.KILLED, "its process ended with exit code 0 before the cell was done"),
        "kills-the-keeper": (State.KILLED, "its process died together with the one that watched it"),
        "closes-all": (State.KILLED, "its process closed the connection to the run"),
        "good": (State.DONE, None),
    }


@pytest.mark.slow
def test_a_signal_is_named_and_a_crash_leaves_its_traceback_in_the_log(tmp_path, children):
    results, printed = run(tmp_path, "is-killed", "crashes")
    assert results["is-killed"].failure.message.startswith("its process was killed by SIGKILL; it used ")
    assert results["crashes"].failure.message == "its process was killed by SIGSEGV"
    (cell,) = [r.cell.id for r in Store(tmp_path / "runs").records() if r.cell.method == "crashes"]
    log = (Store(tmp_path / "runs").path(cell) / "log.txt").read_text()
    assert "Fatal Python error: Segmentation fault" in log
    assert "hostile.py" in log
    assert "Fatal Python error: Segmentation fault" in printed


def test_exceptions_of_any_class_and_messages_of_any_text_are_rows(tmp_path, children):
    results, _ = run(tmp_path, "own-class", "ctrl-c", "surrogate", "nul", "endless", "speechless", "good")
    failures = {name: result.failure for name, result in results.items() if result.failure}
    assert {name: result.state for name, result in results.items()} == dict.fromkeys(failures, State.FAILED) | {
        "good": State.DONE
    }
    assert {name: (failure.type, failure.message) for name, failure in failures.items() if name != "endless"} == {
        "own-class": ("Own", "of its own"),
        "ctrl-c": ("KeyboardInterrupt", ""),
        "surrogate": ("ValueError", "lone \\ud800"),
        "nul": ("ValueError", "nul \\x00 and \x1b[31m"),
        "speechless": ("Speechless", "its message cannot be read: str() raised RuntimeError"),
    }
    assert "[... 90,000 characters]" in failures["endless"].message


@pytest.mark.slow
def test_what_a_method_leaves_in_its_process_reaches_no_other_cell(tmp_path, children):
    harmless = ("closes-output", "replaces-output", "leaves-a-thread", "changes-folder", "prints")
    results, printed = run(tmp_path, *harmless, "good")
    assert {result.state for result in results.values()} == {State.DONE}
    assert printed == ["from Python", "from a child"]


def test_processes_that_a_method_leaves_end_with_the_run(tmp_path, children):
    run(tmp_path, "leaves-children")
    assert children() == []


def test_apart_a_method_changes_no_other_methods_figures(tmp_path, children):
    inline = Store(tmp_path / "inline")
    run_inline(CellQueue(plan(method="good", splits="1"), inline), Watcher())
    apart, _ = run(tmp_path / "apart", "cheats-for-all", "good", apart=True)
    assert apart["cheats-for-all"].metrics["top1"] == 1.0
    assert apart["good"].metrics == inline.records()[0].result.metrics


def zslbench_run(tmp_path, *options):
    line = [sys.executable, "-m", "zslbench", "run", "--dataset", "hmdb51", "--results", "runs", "--no-track", *options]
    env = os.environ | {"PYTHONPATH": str(tmp_path / "plugins")}
    return subprocess.Popen(
        line, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c
    )


def test_a_method_that_changes_the_folder_moves_no_result_of_an_inline_run(tmp_path, children):
    child = zslbench_run(tmp_path, "--method", "changes-folder", "--method", "good", "--splits", "1", "--inline")
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert len(Store(tmp_path / "runs").records()) == 2


def test_inline_needs_no_other_process(zslbench, children):
    code, _, err = zslbench("run", "--method", "good", "--dataset", "hmdb51", "--inline", "--strict")
    assert (code, "--strict needs other processes than this one; leave out --inline" in err) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_when_the_run_ends_its_worker_and_their_children_end(tmp_path, children, number, code):
    methods = ("--method", "leaves-children", "--method", "good")
    child = zslbench_run(tmp_path, *methods, "--set", "good.seconds=60", "--splits", "1")
    deadline = time.time() + 60
    while not Path(tmp_path / "children").exists() or not list((tmp_path / "runs" / "cells").glob("[!.]*")):
        assert child.poll() is None
        assert time.time() < deadline
        time.sleep(0.1)
    processes = psutil.Process(child.pid).children(recursive=True)
    assert len(processes) >= 2
    child.send_signal(number)
    _, err = child.communicate(timeout=30)
    assert child.returncode == code
    assert err.count("stopped: 1 of 2 cells are kept") == (number != signal.SIGKILL)
    assert "Traceback" not in err
    psutil.wait_procs(processes, timeout=5)
    assert [process for process in processes if process.is_running()] == []
    assert children() == []
    assert len(Store(tmp_path / "runs").records()) == 1


def test_a_finished_cell_that_fails_in_the_worker_keeps_its_figures(tmp_path, children):
    note = tmp_path / "note"
    cells = plan(method=("good",), splits="1", set={"good": {"note": str(note)}})
    store, seen = Store(tmp_path / "runs"), []
    watcher = Watcher()
    watcher.finished = lambda cell, result: seen.append(result.state)
    store.prepare()
    with Worker() as worker:
        run_supervised(CellQueue(cells, store), watcher, worker)
        note.unlink()
        note.mkdir()  # so that the same cell fails now
        run_supervised(CellQueue(cells, store), watcher, worker)
    assert seen == [State.DONE, State.FAILED]
    (cell,) = cells
    assert store.state(cell.id) is State.DONE
    assert store.newest(cell.id).result.failure.type == "IsADirectoryError"
    assert list(store.locks.iterdir()) == []
