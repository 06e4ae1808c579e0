"""``zslbench track`` and ``zslbench ui`` as a user meets them."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest
from fakes import fake_record, fake_store
from servers import hears_ctrl_c

pytestmark = pytest.mark.versions


@pytest.fixture
def results(tmp_path):
    return fake_store(tmp_path / "runs", [fake_record(split=i) for i in range(2)]).root


@pytest.fixture
def mlflow(results, empty_mlflow):
    shutil.copy(empty_mlflow, results)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_sync_counts_what_it_did(zslbench, results, mlflow):
    code, out, _ = zslbench("track", "sync", "--results", results)
    assert (code, out.partition(" in ")[0]) == (0, "2 cells created, 0 updated, 0 unchanged")
    code, out, _ = zslbench("track", "sync", "--results", results)
    assert (code, out.partition(" in ")[0]) == (0, "0 cells created, 0 updated, 2 unchanged")


def test_sync_without_results_and_without_a_server(zslbench, results, tmp_path):
    code, _, err = zslbench("track", "sync", "--results", tmp_path / "nothing")
    assert code == 2
    assert not (tmp_path / "nothing").exists()
    code, _, err = zslbench("track", "sync", "--results", results, "--tracking-uri", "http://127.0.0.1:9")
    assert code == 2
    assert "http://127.0.0.1:9" in err


@pytest.mark.slow
def test_ui_says_what_is_missing_or_in_its_way(zslbench, results):
    code, _, err = zslbench("ui", "--results", results)
    assert code == 2
    assert "zslbench track sync" in err
    zslbench("track", "sync", "--results", results)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = zslbench("ui", "--results", results, "--port", port)
    assert code == 2
    assert f"--port {port + 1}" in err
    assert len(err.splitlines()) == 1
    (results / "mlflow.db").write_bytes(b"no database at all" * 1000)
    code, _, err = zslbench("ui", "--results", results)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "is damaged" in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ui_serves_until_it_is_told_to_stop_and_leaves_nothing_behind(zslbench, results, number):
    zslbench("track", "sync", "--results", results)
    port = free_port()
    code = "from zslbench.cli import main; main()"
    command = [sys.executable, "-c", code, "ui", "--results", str(results), "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ), preexec_fn=hears_ctrl_c
    )
    family = []
    try:
        assert answers(f"http://127.0.0.1:{port}/health") == b"OK"
        answers(f"http://127.0.0.1:{port}/")
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(30) == 0
        assert psutil.wait_procs(family, timeout=5)[1] == []
        said = f"MLflow shows the results on http://127.0.0.1:{port} (Ctrl-C ends it).\n"
        assert (process.stdout.read().decode(), process.stderr.read()) == (said, b"")  # MLflow's own lines stay away
    finally:
        for each in (process, *family):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def answers(url):
    for _ in range(240):
        try:
            with urllib.request.urlopen(url) as page:
                return page.read()
        except OSError:
            time.sleep(0.25)
    return None
