"""Ctrl-C at a terminal, which reaches the command and all its workers: one line that says so, and exit code 130."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from servers import hears_ctrl_c
from tiny import make_features

SLOW = ("--method", "action2vec", "--set", "action2vec.epochs=1000", "--dataset", "hmdb51", "--features", "tiny")


def stopped(tmp_path, args, ready):
    """Start a command, interrupt its whole process group when stderr has the text ``ready``; return code and stderr."""
    child = subprocess.Popen(
        [sys.executable, "-m", "zslbench", *map(str, args)], cwd=tmp_path, env=dict(os.environ), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=hears_ctrl_c,
    )  # fmt: skip
    late = threading.Timer(60, os.killpg, (child.pid, signal.SIGKILL))
    late.start()
    seen = ""
    while ready not in seen and (line := child.stderr.readline()):
        seen += line
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate()
    late.cancel()
    return child.returncode, seen + err + out


def is_stopped(code, said, kept):
    lines = [line for line in said.splitlines() if "stopped" in line]
    assert (code, len(lines), "Traceback" in said) == (130, 1, False), said
    assert lines[0].startswith(f"zslbench: stopped{kept}"), said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "ready"),
    [((), "1 to run"), ((), "training"), (("--inline",), "training"), (("--workers", "2"), "training")],
)
def test_ctrl_c_stops_a_run_with_one_line(tmp_path, how, ready):
    make_features()
    args = ["run", *SLOW, "--splits", "1", "--no-track", "--results", tmp_path / "runs", *how]
    is_stopped(*stopped(tmp_path, args, ready), ": 0 of 1 cells are kept in" if ready == "training" else "")


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("--workers", "2")])
def test_ctrl_c_stops_an_extraction_with_one_line(tmp_path, shared_data, how, zslbench):
    videos = shared_data / "utd-mhad" / "clips"
    assert zslbench("datasets", "add", "mhad", "--videos", videos)[0] == 0
    args = ["extract", "--dataset", "mhad", "--videos", videos, "--backbone", "motion", *how]
    is_stopped(*stopped(tmp_path, args, "mhad@motion: "), "")


def test_ctrl_c_leaves_nothing_of_an_import(tmp_path, monkeypatch, zslbench):
    from zslbench.features import importing

    def stop(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "import_features", stop)
    args = ["--features", "a.npy", "--videos", "a.csv", "--extractor", "x"]
    code, out, err = zslbench("features", "import", "hmdb51", "mine", *args)
    assert (code, out, err.strip()) == (130, "", "zslbench: stopped.")


def test_ctrl_c_while_the_program_is_loaded_prints_no_traceback(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")  # the first library that is imported
    done = subprocess.run([sys.executable, "-m", "zslbench", "methods"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "zslbench: stopped.")


SLOW_TO_CLEAN_UP = """
import sys, time
import zslbench.cli

def work(self, ctx):
    try:
        sys.stderr.write("works\\n")
        time.sleep(60)
    finally:
        sys.stderr.write("cleans up\\n")
        time.sleep(60 if len(sys.argv) > 2 else 0)

zslbench.cli._Verbs.invoke = work
zslbench.cli.main(["methods"])
"""


@pytest.mark.parametrize("again", [False, True])
def test_a_second_ctrl_c_ends_the_cleaning_up_without_a_traceback(again):
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_CLEAN_UP, "x", *["again"] * again], stderr=subprocess.PIPE, text=True,
        preexec_fn=hears_ctrl_c,
    )  # fmt: skip
    assert child.stderr.readline() == "works\n"
    child.send_signal(signal.SIGINT)
    assert child.stderr.readline() == "cleans up\n"
    if again:
        child.send_signal(signal.SIGINT)
    err = child.communicate(timeout=20)[1].strip()
    assert (child.returncode, err) == (130, f"zslbench: stopped{' at once' * again}.")


def test_ctrl_c_does_what_it_did_before_after_a_command(zslbench):
    before = signal.getsignal(signal.SIGINT)
    assert zslbench("methods")[0] == 0
    assert signal.getsignal(signal.SIGINT) is before
