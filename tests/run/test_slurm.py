"""The whole command on a real SLURM of one node."""

import signal
import subprocess
import sys
import time

import pytest
from plugins import install_misbehaving
from servers import hears_ctrl_c
from slurm_here import ask, logs, slurm  # noqa: F401 - a fixture
from tiny import make_features

from zslbench.cells.cell import State
from zslbench.cells.store import Store

pytestmark = pytest.mark.slow

FILE = """
kind = "slurm"
workers = 2

[arguments]
cores = 1
memory = "1GiB"
walltime = "00:20:00"
interface = "lo"
"""


@pytest.fixture
def command(tmp_path, data_root, slurm):  # noqa: F811
    make_features()
    plugins = install_misbehaving(tmp_path / "plugins")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    (tmp_path / "cluster.toml").write_text(FILE)
    env = slurm | {"PYTHONPATH": str(plugins), "ZSLBENCH_DATA_ROOT": str(data_root), "TMPDIR": str(scratch)}

    def start(*args, results="runs"):
        line = [sys.executable, "-m", "zslbench", "run", "--dataset", "hmdb51", "--no-track", "--results", results]
        return subprocess.Popen(
            [*line, *args], env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=hears_ctrl_c,
        )  # fmt: skip

    return start


def figures(folder):
    return {
        (r.cell.method, r.cell.split): r.result.metrics for r in Store(folder).records() if r.result.state is State.DONE
    }


def wait_for(condition, child):
    for _ in range(1200):
        if condition():
            return
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def test_jobs_give_the_figures_of_this_machine_and_a_killed_job_loses_only_its_cell(tmp_path, command, slurm):  # noqa: F811
    methods = ("--method", "ridge", "--method", "slow", "--splits", "6", "--set", f"slow.log={tmp_path / 'fits'}")
    methods = (*methods, "--set", "slow.seconds=2")
    alone = command(*methods, "--inline", results="alone")
    _, err = alone.communicate(timeout=240)
    assert alone.returncode == 0, err

    child = command(*methods, "--cluster", "cluster.toml")
    cells = tmp_path / "runs" / "cells"
    wait_for(lambda: len(list(cells.glob("[!.]*"))) >= 2, child)
    jobs = ask(slurm, "squeue", "-h", "-t", "R", "-o", "%i").split()
    assert len(jobs) == 2
    ask(slurm, "scancel", jobs[0])
    _, err = child.communicate(timeout=240)
    assert child.returncode in (0, 1), err + logs(tmp_path / "runs")  # 0 if the job was between two cells
    states = [r.result.state for r in Store(tmp_path / "runs").records()]
    assert len(states) == 12, err
    assert states.count(State.KILLED) == child.returncode, err
    wait_for_none(slurm)
    assert "Traceback" not in err

    again = command(*methods, "--cluster", "cluster.toml")
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert figures(tmp_path / "runs") == figures(tmp_path / "alone")
    assert len(figures(tmp_path / "runs")) == 12
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_refused_job_is_one_sentence_and_records_nothing(tmp_path, command):
    (tmp_path / "cluster.toml").write_text(FILE + 'queue = "nowhere"\n')
    child = command("--method", "good", "--cluster", "cluster.toml")
    _, err = child.communicate(timeout=120)
    assert child.returncode == 2, err
    assert "the slurm cluster refuses the jobs" in err
    assert "Traceback" not in err
    assert figures(tmp_path / "runs") == {}


def test_ctrl_c_cancels_jobs_that_run_and_jobs_that_wait(tmp_path, command, slurm):  # noqa: F811
    (tmp_path / "cluster.toml").write_text(FILE.replace("workers = 2", "workers = 3"))  # on two CPUs
    child = command("--method", "sleeps", "--splits", "3", "--cluster", "cluster.toml")
    wait_for(lambda: len(ask(slurm, "squeue", "-h", "-t", "R").splitlines()) == 2, child)
    time.sleep(5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "give the same command again to continue" in err
    assert "Traceback" not in err
    wait_for_none(slurm)
    assert not (tmp_path / "runs" / "cells").exists() or list((tmp_path / "runs" / "cells").iterdir()) == []


def test_jobs_that_cannot_start_a_worker_end_the_run_after_the_wait(tmp_path, command):
    (tmp_path / "cluster.toml").write_text(f'wait = 12{FILE}python = "/nowhere/python"\n')
    child = command("--method", "good", "--cluster", "cluster.toml")
    _, err = child.communicate(timeout=120)
    assert child.returncode == 2, err
    assert "no worker has come yet; waiting up to 12 s" in err
    assert f"no Dask worker has come; the output of the jobs is in {tmp_path / 'runs' / 'jobs'}" in err
    assert "/nowhere/python" in logs(tmp_path / "runs")


def wait_for_none(slurm):  # noqa: F811
    for _ in range(100):
        if ask(slurm, "squeue", "-h") == "":
            return
        time.sleep(0.2)
    raise AssertionError(ask(slurm, "squeue"))
