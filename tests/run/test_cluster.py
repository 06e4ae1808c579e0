"""The file of a cluster, the scripts of its jobs, and options that name where cells run."""

import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from tiny import make_features, plan

from zslbench.cells.cell import State
from zslbench.cells.store import Store
from zslbench.errors import ZslbenchError
from zslbench.method import Report
from zslbench.run.cluster import read_cluster, started_jobs
from zslbench.run.engine import Watcher, _Launcher, _Running
from zslbench.run.inputs import cached_features
from zslbench.run.probe import Questions, answers
from zslbench.run.queue import CellQueue
from zslbench.run.runner import run_cell
from zslbench.run.workers import Limits, dask_client, scheduler_address

pytestmark = pytest.mark.versions
ROOT = Path(__file__).parents[2]
ARGUMENTS = '[arguments]\ncores = 2\nmemory = "2GiB"\n'


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "cluster.toml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('kind = "slurmm"', "kind 'slurmm' is unknown. Did you mean slurm?"),
        ('kind = "slurm"\njobs = 2', "no parameter 'jobs'"),
        ('kind = "slurm"\nworkers = 0', "workers"),
        ('kind = "slurm"\nworkers = "2"', "workers"),
        ('kind = "slurm"\nwait = inf', "wait"),
        ("workers = 2", "kind"),
        ('kind = "slurm"', "[arguments] lacks 'cores'"),
        ('kind = "slurm"\n[arguments]\ncores = 2', "[arguments] lacks 'memory'"),
        (f'kind = "slurm"\n{ARGUMENTS}queu = "x"', "has no 'queu'. Did you mean queue?"),
        (f'kind = "slurm"\n{ARGUMENTS}n_workers = 3', "has no 'n_workers'"),
        (f'kind = "lsf"\n{ARGUMENTS}resource_spec = "x"', "has no 'resource_spec'"),
        ('kind = "local"\n[arguments]\ncores = 2', "has no 'cores'. Known: memory_limit."),
        ('kind = "slurm', "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_place(written, text, says):
    with pytest.raises(ZslbenchError) as raised:
        read_cluster(written(text))
    assert says in str(raised.value)
    assert "cluster.toml" in str(raised.value)


def test_without_dask_jobqueue_the_extra_is_named(written, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(ZslbenchError, match=r"pip install 'zslbench\[cluster\]'"):
        read_cluster(written(f'kind = "slurm"\n{ARGUMENTS}'))
    assert read_cluster(written('kind = "local"')).workers == 1


def test_a_cluster_file_does_not_change_what_ctrl_c_does(written):
    code = f"""
import signal
from pathlib import Path
from zslbench.run.cluster import read_cluster
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
read_cluster(Path({str(written(f'kind = "slurm"{chr(10)}{ARGUMENTS}'))!r}))
assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("kind", "command", "queue"),
    [("slurm", "sbatch", "#SBATCH -p main"), ("pbs", "qsub", "#PBS -q main"), ("lsf", "bsub", "#BSUB -q main")],
)
def test_a_job_has_the_data_root_threads_and_limits(written, tmp_path, monkeypatch, data_root, kind, command, queue):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / command).write_text(
        f'#!/bin/bash\ncat "${{1:-/dev/stdin}}" > {tmp_path}/script\necho "Job <7> is submitted"\n'
    )
    for name in ("scancel", "qdel", "bkill", "lsadmin"):
        (programs / name).write_text("#!/bin/bash\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    cluster = read_cluster(
        written(
            f'kind = "{kind}"\n{ARGUMENTS}queue = "main"\ninterface = "lo"\njob_script_prologue = ["module load cuda"]'
        )
    )
    with started_jobs(cluster, tmp_path / "jobs", {"distributed.worker.memory.terminate": 0.95}):
        script = (tmp_path / "script").read_text()
    assert queue in script
    assert f"export ZSLBENCH_DATA_ROOT={data_root}\n" in script
    assert "export OMP_NUM_THREADS=2\n" in script
    assert "export DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE=0.95\n" in script
    assert "--memory-limit 2.00GiB" in script
    order = [script.index(part) for part in ("ZSLBENCH_DATA_ROOT", "module load cuda", "distributed.cli.dask_worker")]
    assert order == sorted(order)


def test_a_cluster_that_has_no_such_command_is_one_sentence(written, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    cluster = read_cluster(written(f'kind = "slurm"\n{ARGUMENTS}interface = "lo"'))
    with (
        pytest.raises(ZslbenchError, match="the slurm cluster refuses the jobs .*sbatch"),
        dask_client(None, None, Limits(), cluster=cluster, logs=tmp_path / "jobs"),
    ):
        pass


@pytest.mark.parametrize(
    "value", ["interface = 'no0'", "memory = 'much'", "scheduler_options = {prt = 1}", "job_script_prologue = 'a'"]
)
def test_a_wrong_argument_is_one_sentence(written, tmp_path, value):
    arguments = "[arguments]\ncores = 1\n" + ("" if value.startswith("memory") else 'memory = "1GiB"\n')
    cluster = read_cluster(written(f'kind = "slurm"\n{arguments}{value}\n'))
    with pytest.raises(ZslbenchError), started_jobs(cluster, tmp_path / "jobs", {}):
        pass


def test_a_scheduler_file_that_is_none_is_one_sentence(tmp_path):
    for text in ("{}", "[]", "x", '{"address": 7}'):
        (tmp_path / "s.json").write_text(text)
        with pytest.raises(ZslbenchError, match=r"s\.json.*dask scheduler --scheduler-file"):
            scheduler_address(tmp_path / "s.json")
    with pytest.raises(ZslbenchError):
        scheduler_address(tmp_path / "none.json")


@pytest.mark.parametrize("address", ["nonsense", "foo://h:1", "tcp://127.0.0.1:x", "tls://127.0.0.1:9", ""])
def test_an_address_that_is_none_is_one_sentence(zslbench, tmp_path, address):
    make_features()
    code, _, err = zslbench(
        "run",
        "--method",
        "ridge",
        "--dataset",
        "hmdb51",
        "--scheduler",
        address or " ",
        "--results",
        tmp_path / "r",
        "--no-track",
    )
    assert code == 2
    assert "no Dask scheduler answers at" in err


def test_a_server_that_never_answers_is_no_scheduler(zslbench, tmp_path, monkeypatch):
    monkeypatch.setattr("zslbench.run.workers.CONNECT_SECONDS", 0.5)
    make_features()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = zslbench(
            "run",
            "--method",
            "ridge",
            "--dataset",
            "hmdb51",
            "--scheduler",
            address,
            "--results",
            tmp_path / "r",
            "--no-track",
        )
    assert code == 2
    assert f"no Dask scheduler answers at {address}" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--workers", "2", "--scheduler", "tcp://h:1"), "--workers and --scheduler name two places"),
        (("--scheduler-file", "f", "--cluster", "c"), "--scheduler-file and --cluster name two places"),
        (("--cluster", "c", "--memory-limit", "4GiB"), "--memory-limit holds for local workers only"),
        (("--cluster", "c", "--inline"), "leave out --inline"),
    ],
)
def test_options_that_exclude_each_other_are_refused(zslbench, options, says):
    code, _, err = zslbench("run", "--method", "ridge", "--dataset", "hmdb51", *options)
    assert code == 2
    assert says in err


def test_a_worker_is_asked_for_versions_sources_data_and_the_results_folder(tmp_path, monkeypatch):
    make_features()
    questions = Questions(plan(method="ridge"), Store(tmp_path / "runs"))
    with questions.marked():
        answer = answers(questions.asked)
        assert questions.reason(answer) is None
        assert "Python 3.9, and this run" in questions.reason(
            answer | {"software": answer["software"] | {"Python": "3.9"}}
        )
        assert "numpy not at all" in questions.reason(answer | {"software": answer["software"] | {"numpy": None}})
        assert "source of ridge" in questions.reason(answer | {"methods": {"ridge": "x"}})
        other = answers(questions.asked | {"root": str(tmp_path / "other")})
        assert "is not the results folder of this run" in questions.reason(other)
        monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / "elsewhere"))
        cached_features.cache_clear()
        assert "it cannot open the data of this run" in questions.reason(answers(questions.asked))
    assert list((tmp_path / "runs").glob(".unfinished*")) == []


def test_every_file_of_the_documented_clusters_is_accepted(written):
    files = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "clusters.md").read_text(), flags=re.DOTALL)
    found = [read_cluster(written(text)) for text in files]
    assert [(each.kind, each.workers) for each in found] == [
        ("slurm", 8),
        ("pbs", 8),
        ("lsf", 8),
        ("local", 2),
    ]


def test_a_cell_that_was_stored_before_its_worker_died_keeps_its_result(tmp_path):
    class Lost:
        status = "finished"

        def result(self, timeout):
            raise TimeoutError  # as from a worker that cannot be asked any more

    make_features()
    store = Store(tmp_path / "runs")
    store.prepare()
    queue = CellQueue(plan(method="ridge", splits="1"), store)
    launcher = _Launcher(Mock(), queue, Watcher(), Limits(), Mock(), apart=False)
    claim = queue.take()
    job = _Running(claim, Lost(), time.time(), 0, store.stamp(claim.cell.id))
    assert launcher._result(job) is None
    stored = run_cell(claim.cell, store, Report())
    assert launcher._result(job) == stored
    assert launcher._result(replace(job, stamp=store.stamp(claim.cell.id))) is None  # that of an earlier run


def test_a_cell_that_is_stored_while_its_worker_is_ended_for_a_timeout_is_no_timeout(tmp_path):
    make_features()
    store = Store(tmp_path / "runs")
    store.prepare()
    queue, watcher, restarts = CellQueue(plan(method="ridge", splits="2"), store), Mock(), Mock()
    launcher = _Launcher(Mock(), queue, watcher, Limits(seconds=0.1), Mock(), apart=False)
    for late, state in ((True, State.DONE), (False, State.TIMEOUT)):
        claim, restart = queue.take(), restarts.submit.return_value
        job = _Running(claim, Mock(status="pending"), time.time() - 1, 0, store.stamp(claim.cell.id))
        launcher.running["here"] = job
        restart.done.return_value = False
        launcher._look_after("here", job, restarts)
        job.future.status = "cancelled"
        launcher._look_after("here", job, restarts)
        assert "here" in launcher.running  # the worker still computes
        if late:
            run_cell(claim.cell, store, Report())
        restart.done.return_value = True
        launcher._look_after("here", job, restarts)
        assert not launcher.running
        assert watcher.finished.call_args.args[1].state is store.read(claim.cell.id).result.state is state
