"""A crash of a method is debugged where it happens: its frame, its traceback, its cell, and the debugger."""

import io

import pytest
from local_methods import Broken, Nearest
from tiny import make_features

from zslbench.cells.integrity import file_problems, record_problems, unknown_files
from zslbench.cells.store import Store
from zslbench.registry import METHODS

RUN = ("run", "--method", "broken", "--method", "nearest", "--dataset", "hmdb51", "--splits", "2", "--no-track")


@pytest.fixture
def offered(tmp_path):
    """Two methods that the registry finds as if they were installed, and the results folder."""
    make_features(per_class=3)
    with METHODS.offering({"broken": Broken, "nearest": Nearest}):
        yield tmp_path / "runs"


def test_a_failed_cell_says_type_message_place_traceback_and_cell_once(offered, zslbench):
    code, _, err = zslbench(*RUN, "--results", offered)
    store = Store(offered)
    failed = [record for record in store.records() if record.result.failure]
    assert (code, len(failed)) == (1, 2)
    lines = err.splitlines()
    (first,) = [i for i, line in enumerate(lines) if "broken" in line and " #0: FAILED" in line]
    assert lines[first].split(" s: ")[1].startswith("LinAlgError: ")
    assert lines[first + 1].endswith("local_methods.py:43, in multiply")
    path = next(store.path(r.cell.id) for r in failed if r.cell.split == 0) / "traceback.txt"
    assert lines[first + 2].strip() == f"see {path}"
    assert err.count("in multiply") == 1  # the second cell failed in the same place
    assert f"2 of 4 cells have no figures (reasons: {path} and of 1 more)" in err


def test_the_traceback_is_a_file_of_the_cell_and_an_edit_of_it_is_found(offered, zslbench):
    zslbench(*RUN, "--results", offered)
    store = Store(offered)
    record = next(store.read(r.cell.id) for r in store.records() if r.result.failure)
    folder = store.folder(record)
    text = (folder / "traceback.txt").read_text()
    assert text == record.result.failure.traceback
    assert text.splitlines()[0] == "Traceback (most recent call last):"
    assert (file_problems(folder), unknown_files(folder), record_problems(record, folder)) == ([], [], [])
    (folder / "traceback.txt").write_text("nothing happened")
    assert file_problems(folder) == ["traceback.txt does not match SHA256SUMS"]
    assert record_problems(record, folder) == ["traceback.txt is not the traceback of error.json"]


def test_the_traceback_is_in_a_bundle(offered, zslbench, tmp_path):
    zslbench(*RUN, "--results", offered)
    assert zslbench("results", "export", tmp_path / "b.zip", "--results", offered)[0] == 0
    assert zslbench("results", "import", tmp_path / "b.zip", "--results", tmp_path / "theirs")[0] == 0
    assert len(list((tmp_path / "theirs").rglob("traceback.txt"))) == 2


def test_raise_stops_at_the_first_failure_with_the_traceback(offered, zslbench):
    code, out, err = zslbench(*RUN, "--results", offered, "--raise")
    assert (code, out) == (1, "")
    assert 'local_methods.py", line 43, in multiply' in err
    assert "numpy.linalg.LinAlgError: " in err
    (record,) = Store(offered).records()
    assert f"stopped at the first failure; the traceback is also in {offered}/cells/{record.cell.id}/traceback" in err


def test_pdb_opens_where_the_method_failed(offered, zslbench, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("up\nup\np 'shape', x[:1].shape\nq\n"))
    code, out, err = zslbench(*RUN, "--results", offered, "--pdb")
    assert code == 1
    assert "('shape', (1, 16))" in out
    assert "(Pdb)" in out
    assert "LinAlgError" in err


@pytest.mark.parametrize("option", ["--raise", "--pdb"])
def test_other_processes_are_refused_with_the_option_to_leave_out(offered, zslbench, option):
    code, _, err = zslbench(*RUN, "--results", offered, option, "--workers", "2")
    assert code == 2
    assert f"--workers needs other processes than this one; leave out {option}." in err


def test_an_interrupt_of_the_user_is_no_failure_of_the_method(offered, zslbench, monkeypatch):
    def stop(*inputs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Broken, "multiply", stop)
    code, _, err = zslbench(*RUN, "--results", offered, "--raise")
    assert code == 130
    assert "stopped: 0 of 4 cells are kept" in err
