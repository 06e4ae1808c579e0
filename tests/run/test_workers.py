"""Workers that others start, schedulers that end, and what is left behind: the whole command in a child process."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from dask_made import scheduler, worker
from plugins import install, install_misbehaving
from servers import hears_ctrl_c
from tiny import make_features

from zslbench.cells.cell import State
from zslbench.cells.store import Store

pytestmark = pytest.mark.versions


@pytest.fixture
def plugins(tmp_path):
    return install_misbehaving(tmp_path / "plugins")


@pytest.fixture
def command(tmp_path, data_root, plugins):
    make_features()
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    env = os.environ | {"PYTHONPATH": str(plugins), "ZSLBENCH_DATA_ROOT": str(data_root), "TMPDIR": str(scratch)}
    line = [sys.executable, "-m", "zslbench", "run", "--dataset", "hmdb51", "--results", "runs", "--no-track"]

    def start(*args):
        return subprocess.Popen(
            [*line, *map(str, args)], env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=hears_ctrl_c,
        )  # fmt: skip

    return start


def states(tmp_path):
    return [r.result.state for r in Store(tmp_path / "runs").records()]


def wait_for(condition, child):
    for _ in range(1200):
        if condition():
            return
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came to that")


@pytest.mark.slow
def test_a_worker_that_lacks_what_the_run_needs_gets_no_cell_and_is_named_once(tmp_path, command, plugins):
    changed = install_misbehaving(tmp_path / "changed")
    module = changed / "misbehaving.py"
    module.write_text(module.read_text().replace("np.arange(1,", "np.arange(2, 1 +"))
    old = install(
        tmp_path / "old", "sitecustomize", "import zslbench.version\nzslbench.version.__version__ = '0.1.0'\n", {}
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "zslbench.py").write_text("raise ModuleNotFoundError(\"No module named 'zslbench'\")")
    with (
        scheduler(tmp_path) as (_, file),
        worker(tmp_path, file, "good", path=plugins),
        worker(tmp_path, file, "plain"),
        worker(tmp_path, file, "changed", path=changed),
        worker(tmp_path, file, "old", path=f"{old}:{plugins}"),
        worker(tmp_path, file, "dataless", path=plugins, ZSLBENCH_DATA_ROOT=str(elsewhere)),
        worker(tmp_path, file, "bare", path=blocked),
    ):
        time.sleep(8)  # until all have come, or the good one could do all alone
        child = command(
            "--method", "slow", "--set", f"slow.log={tmp_path / 'fits'}", "--splits", "12", "--scheduler-file", file
        )
        _, err = child.communicate(timeout=240)
    assert child.returncode == 0, err
    assert states(tmp_path) == [State.DONE] * 12
    notes = dict(re.findall(r"note: worker (\w+) \(.*?\) gets no cells: (.*)", err))
    assert set(notes) == {"plain", "changed", "old", "dataless", "bare"}, err
    assert "no method is called 'slow'" in notes["plain"]
    assert "its source of slow is not this run's" in notes["changed"]
    assert "zslbench 0.1.0 (recipe" in notes["old"]
    assert "ZSLBENCH_DATA_ROOT" in notes["dataless"]
    assert "no zslbench" in notes["bare"]
    assert err.count("gets no cells") == 5


@pytest.mark.slow
def test_without_a_usable_worker_the_run_is_refused_and_records_nothing(tmp_path, command):
    with scheduler(tmp_path) as (_, file), worker(tmp_path, file, "plain"):
        child = command("--method", "good", "--scheduler-file", file)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 2
    assert "no Dask worker can run these cells: plain: no method is called 'good'" in err
    assert "Traceback" not in err
    assert states(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_ends_in_the_middle_is_one_sentence(tmp_path, command, plugins, how):
    with scheduler(tmp_path) as (process, file), worker(tmp_path, file, "good", path=plugins):
        child = command("--method", "good", "--method", "sleeps", "--splits", "1", "--scheduler-file", file)
        wait_for(lambda: list((tmp_path / "runs" / "cells").glob("[!.]*")), child)
        time.sleep(1)
        os.killpg(process.pid, how)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 2, err
    assert states(tmp_path) == [State.DONE]
    last = err[err.index("zslbench: ") :]
    assert re.fullmatch(r"zslbench: the Dask scheduler at tcp://\S+ has ended or does not answer; .*\.\n", last), err


@pytest.mark.slow
def test_a_scheduler_without_zslbench_is_one_sentence(tmp_path, command, plugins):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "zslbench.py").write_text("raise ModuleNotFoundError(\"No module named 'zslbench'\")")
    with scheduler(tmp_path, path=blocked) as (_, file), worker(tmp_path, file, "good", path=plugins):
        child = command("--method", "good", "--scheduler-file", file)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 2
    assert "has no zslbench; start it in an environment that has zslbench" in err
    assert states(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "Ctrl-C"])
def test_local_workers_leave_no_temporary_files(tmp_path, command, end):
    before = {p.name for p in Path(tempfile.gettempdir()).iterdir()}
    child = command(
        "--method", "slow", "--set", f"slow.log={tmp_path / 'fits'}", "--splits", "6" if end else "1", "--workers", "2"
    )
    if end:
        wait_for(lambda: list((tmp_path / "runs" / "cells").glob("[!.]*")), child)
        child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == (130 if end else 0), err
    assert "Traceback" not in err
    assert [p.name for p in (tmp_path / "tmp").iterdir()] == []
    assert "dask-scratch-space" not in {p.name for p in Path(tempfile.gettempdir()).iterdir()} - before
