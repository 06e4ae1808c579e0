import contextlib
import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tiny import make_features, plan

from zslbench.cells._agreement import contradiction
from zslbench.cells._sums import write_sums
from zslbench.cells.cell import RECIPE, ClassCounts, Failure, Result, State
from zslbench.cells.removal import BusyError, remove_cell
from zslbench.cells.store import Store, Unreadable
from zslbench.errors import ZslbenchError
from zslbench.files import UNFINISHED

pytestmark = pytest.mark.versions


def result(state=State.DONE, top1=0.5):
    if state is not State.DONE:
        failure = Failure(type="E", message="m", traceback="a long story")
        return Result(state=state, started=1.0, finished=2.0, failure=failure)
    right = round(8 * top1)
    first = min(4, right)
    counts = ClassCounts(names=("a", "b"), unseen=(True, True), scored=(4, 4), top1=(first, right - first), top5=(4, 4))
    return Result(state=state, metrics={"top1": right / 8}, classes=counts, started=1.0, finished=2.0)


@pytest.fixture
def cells():
    make_features()
    return plan(method="random", splits="3")


def test_a_cell_comes_back_as_it_was_stored(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result(), environment={"python": "3"}, log="hello")
    record = store.read(cells[0].id)
    assert record.cell == cells[0]
    assert record.cell.id == cells[0].id
    assert record.result == result()
    assert (store.path(cells[0].id) / "log.txt").read_text() == "hello"


def test_the_index_says_the_same_as_the_directories(tmp_path, cells, monkeypatch):
    store = Store(tmp_path)
    for cell in cells:
        store.write(cell, result())
    first = store.records()
    assert (tmp_path / "index.sqlite").is_file()
    monkeypatch.setattr(Store, "find", None)  # only the index is read
    assert Store(tmp_path).records() == first
    assert [r.cell for r in first] == sorted(cells, key=lambda cell: cell.id)
    assert all(r.result == result() for r in first)


def test_the_index_notices_rewritten_new_and_deleted_cells(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result(top1=0.125))
    store.write(cells[1], result(top1=0.125))
    list(store.records())
    store.write(cells[0], result(top1=0.875))
    store.write(cells[2], result(top1=0.25))
    for file in store.path(cells[1].id).iterdir():
        file.unlink()
    store.path(cells[1].id).rmdir()
    figures = {r.cell.id: r.result.metrics["top1"] for r in store.records()}
    assert figures == {cells[0].id: 0.875, cells[2].id: 0.25}


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_no_damage_to_the_index_changes_an_answer(tmp_path, cells):
    store = Store(tmp_path)
    for cell in cells:
        store.write(cell, result())
    expected = store.records()
    index = tmp_path / "index.sqlite"
    whole = index.read_bytes()
    for place in range(0, len(whole), 37):
        flip(index, place)
        assert store.records() == expected, place
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        index.write_bytes(content)
        assert store.records() == expected
    assert index.read_bytes() == whole  # and it was made anew


def test_an_index_that_cannot_be_written_or_is_locked_costs_only_time(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result())
    (tmp_path / "index.sqlite").mkdir()
    assert len(store.records()) == 1
    (tmp_path / "index.sqlite").rmdir()
    store.records()
    with contextlib.closing(sqlite3.connect(tmp_path / "index.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.write(cells[1], result())
        assert len(store.records()) == 2


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("cell.json", "", "cell.json does not match SHA256SUMS"),
        ("result.json", '{"state": "done", "sta', "result.json does not match SHA256SUMS"),
        ("cell.json", None, "cell.json: No such file or directory"),
        ("log.txt", None, "log.txt is missing"),
        ("predictions.parquet", None, "predictions.parquet is missing"),
        ("predictions.parquet", "", "predictions.parquet does not match SHA256SUMS"),
        ("SHA256SUMS", None, "it has no SHA256SUMS, so an earlier version of zslbench wrote it"),
        ("SHA256SUMS", "", "cell.json does not match SHA256SUMS"),
        ("SHA256SUMS", "nonsense\n", "SHA256SUMS was changed"),
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_a_cell_that_cannot_be_read_is_returned_as_such_and_is_missing(tmp_path, cells, file, content, reason, indexed):
    store = Store(tmp_path)
    for cell in cells:
        store.write(cell, result(), predictions=pa.table({"video": ["v"]}))
    if indexed:
        store.records()
    path = store.path(cells[0].id) / file
    path.unlink() if content is None else path.write_text(content)
    records, (unreadable,) = store.scan()
    assert {record.cell.id for record in records} == {cell.id for cell in cells[1:]}
    assert unreadable.id == cells[0].id
    assert unreadable.reason.startswith(reason)
    assert store.unreadable(cell.id for cell in cells) == [unreadable]
    assert store.state(cells[0].id) is None
    with pytest.raises(ZslbenchError, match="is not a readable cell"):
        store.read(cells[0].id)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "splendid"}, "the state 'splendid' is unknown, so a newer version of zslbench wrote it"),
        ({"added": 1}, "result.json: the field added is unknown, so a newer version of zslbench wrote it"),
        ({"metrics": {"top1": 1.0}}, "top1 is 1, but its counts per class give 0.5"),
        ({"metrics": {"top1": 0.5, "accuracy": 1.0}}, "accuracy is no figure of zsl"),
        ({"metrics": {}}, "it is done but has no figures"),
        ({"classes": None}, "it is done but has no figures"),
        ({"state": "failed"}, "it is failed but has figures"),
        ({"present": 9}, "9 videos of the tested classes are present, but 8 were scored"),
        ({"classes.top1": [5, 2]}, "its counts per class are not 0 <= top1 <= top5 <= scored"),
        ({"classes.top5": [1, 4]}, "its counts per class are not 0 <= top1 <= top5 <= scored"),
        ({"classes.top1": [4]}, "its counts per class have not one value for each class"),
        ({"classes.names": ["a", "a"]}, "its counts per class have not one value for each class"),
        ({"classes.unseen": [True, False]}, "its seen and unseen classes, or their videos, are not those of zsl"),
    ],
)
def test_a_result_that_contradicts_itself_is_unreadable_although_its_checksum_is_right(
    tmp_path, cells, changes, reason
):
    store = Store(tmp_path)
    store.write(cells[0], result())
    folder = store.path(cells[0].id)
    content = json.loads((folder / "result.json").read_text())
    for name, value in changes.items():
        part, _, key = name.rpartition(".")
        (content[part] if part else content)[key] = value
    (folder / "result.json").write_text(json.dumps(content))
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)
    records, (unreadable,) = store.scan()
    assert records == []
    assert reason in unreadable.reason


@pytest.mark.parametrize("file", ["cell.json", "result.json"])
def test_a_key_that_occurs_twice_makes_a_cell_unreadable_although_its_checksum_is_right(tmp_path, cells, file):
    store = Store(tmp_path)
    store.write(cells[0], result())
    folder = store.path(cells[0].id)
    content = (folder / file).read_text()
    key = next(iter(json.loads(content)))
    (folder / file).write_text(content.replace("{", f'{{"{key}": "another", ', 1))
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)
    records, (unreadable,) = store.scan()
    assert records == []
    assert unreadable.reason == f"{file}: the key '{key}' occurs twice"


def test_gzsl_figures_are_those_of_the_counts(tmp_path, cells):
    counts = ClassCounts(names=("a", "b"), unseen=(False, True), scored=(4, 4), top1=(4, 1), top5=(4, 4))
    figures = {"top1": 0.625, "top1_per_class": 0.625, "S": 1.0, "U": 0.25, "H": 0.4, "chance": 0.5, "majority": 0.5}
    cell = cells[0].model_copy(update={"protocol": "gzsl", "calibrate": False})
    made = Result(state=State.DONE, metrics=figures, classes=counts, present=4, started=1.0, finished=2.0)
    assert contradiction(cell, made) is None
    for name in figures:
        wrong = made.model_copy(update={"metrics": figures | {name: 0.7}})
        assert contradiction(cell, wrong).startswith(f"{name} is 0.7, but its counts per class give ")


@pytest.mark.parametrize("file", ["cell.json", "result.json", "predictions.parquet", "environment.json", "SHA256SUMS"])
def test_the_index_hides_no_edit_that_restores_size_and_time(tmp_path, cells, file):
    store = Store(tmp_path)
    store.write(cells[0], result(), predictions=pa.table({"video": ["v"]}))
    path = store.path(cells[0].id) / file
    time.sleep(0.02)  # longer than the steps of the file system's clock
    assert len(store.records()) == 1
    before = path.stat()
    flip(path, 0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.records() == Store(tmp_path).records() == []


def test_coreutils_prove_a_cell(tmp_path, cells):
    store = Store(tmp_path, keep_scores="float32")
    store.write(cells[0], result(), predictions=pa.table({"video": ["v"]}), scores=np.eye(2))
    folder = store.path(cells[0].id)
    check = ["sha256sum", "--strict", "--check", "SHA256SUMS"]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    listed = {line.removesuffix(": OK") for line in done.stdout.splitlines()}
    assert listed | {"SHA256SUMS"} == {path.name for path in folder.iterdir()}
    flip(folder / "log.txt", 0) if (folder / "log.txt").stat().st_size else flip(folder / "cell.json", 0)
    assert subprocess.run(check, cwd=folder, capture_output=True).returncode == 1


@pytest.mark.parametrize(
    ("kind", "largest", "kept"),
    [
        ("float32", 1.0, "float32"),
        ("float16", 1.0, "float16"),
        ("float16", 1e5, "float32"),
        ("float16", 1e40, "float64"),
    ],
)
def test_all_scores_are_kept_in_the_type_asked_for_or_a_wider_one_that_holds_them(tmp_path, cells, kind, largest, kept):
    store = Store(tmp_path, keep_scores=kind)
    store.write(cells[0], result(), scores=np.array([[0.5, -largest], [largest, 0.0]]))
    scores = np.load(store.path(cells[0].id) / "scores.npy", allow_pickle=False)
    assert scores.dtype == kept
    assert scores.tolist() == np.array([[0.5, -largest], [largest, 0.0]]).astype(kept).tolist()
    assert store.lacks_scores(cells[1].id)
    assert not store.lacks_scores(cells[0].id)


def test_a_directory_that_holds_another_cell_is_unreadable(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result())
    store.path(cells[0].id).rename(store.path("another"))
    assert store.scan() == ([], [Unreadable("another", f"cell.json describes the cell {cells[0].id}")])


def test_a_half_written_directory_is_never_believed_and_is_swept_away_later(tmp_path, cells):
    store = Store(tmp_path)
    half = store.cells / f"{UNFINISHED}{cells[0].id}-1"
    half.mkdir(parents=True)
    (half / "cell.json").write_text(cells[0].model_dump_json())
    assert store.state(cells[0].id) is None
    assert list(store.records()) == []
    Store(tmp_path).prepare()
    assert half.exists()  # another process may be writing it
    os.utime(half, (time.time() - 10**6,) * 2)
    Store(tmp_path).prepare()
    assert not half.exists()


def test_a_write_that_fails_half_way_keeps_the_earlier_result(tmp_path, cells, monkeypatch):
    store = Store(tmp_path)
    store.write(cells[0], result(top1=0.125))
    monkeypatch.setattr(json, "dumps", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ZslbenchError, match="No space left"):
        store.write(cells[0], result(top1=0.875))
    monkeypatch.undo()
    assert store.read(cells[0].id).result.metrics["top1"] == 0.125
    assert [p.name for p in store.cells.iterdir()] == [cells[0].id]


def test_failures_keep_their_traceback_in_a_file_of_their_own(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result(State.FAILED))
    assert json.loads((store.path(cells[0].id) / "error.json").read_text())["traceback"] == "a long story"
    assert store.state(cells[0].id) is State.FAILED


def test_an_unwritable_results_folder_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ZslbenchError, match="--results"):
        Store(tmp_path / "file" / "runs").prepare()


def test_a_result_with_nan_is_readable_again(tmp_path, cells):
    store = Store(tmp_path)
    diverged = result().model_copy(update={"epochs": [{"loss": float("nan")}], "notes": {"x": float("inf")}})
    store.write(cells[0], diverged)
    assert str(store.read(cells[0].id).result.epochs[0]["loss"]) == "nan"
    assert [r.result.notes for r in store.records()] == [{"x": float("inf")}]
    assert [r.result.notes for r in store.records()] == [{"x": float("inf")}]


def test_reading_needs_no_folder_and_writes_nothing(tmp_path):
    assert list(Store(tmp_path / "absent").records()) == []
    assert not (tmp_path / "absent").exists()


def test_two_writers_of_one_cell_leave_one_whole_result(tmp_path, cells):
    from concurrent.futures import ThreadPoolExecutor

    def write(top1):
        for _ in range(25):
            Store(tmp_path).write(cells[0], result(top1=top1))
            Store(tmp_path).prepare()
            assert Store(tmp_path).scan()[1] == []

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, i / 8) for i in range(4)]:
            done.result()
    assert Store(tmp_path).read(cells[0].id).result.metrics["top1"] in (0.0, 0.125, 0.25, 0.375)
    assert [p.name for p in (tmp_path / "cells").iterdir()] == [cells[0].id]


def test_a_cell_whose_successor_got_its_inode_is_read_again(tmp_path, cells, monkeypatch):
    store = Store(tmp_path)
    store.write(cells[0], result())
    checked, stamps = store._checked, iter([1, 2])

    def replaced_meanwhile(cell_id):
        for stamp in stamps:
            os.utime(store.path(cell_id), ns=(stamp, stamp))
            raise ZslbenchError("result.json does not match SHA256SUMS")
        return checked(cell_id)

    monkeypatch.setattr(store, "_checked", replaced_meanwhile)
    assert store.read(cells[0].id) == Store(tmp_path).read(cells[0].id)


def test_rests_of_a_cell_in_a_folder_that_vanishes_are_no_error(tmp_path, monkeypatch):
    def vanish(path, pattern):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    store = Store(tmp_path)
    store.prepare()
    monkeypatch.setattr(Path, "glob", vanish)
    store.discard_unfinished("0" * 32)
    with pytest.raises(ZslbenchError, match=r"cannot be written \(No such file or directory\)"):
        store.prepare()


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"recipe": RECIPE + 1}, f"recipe {RECIPE + 1} is unknown"), ({"sensor": "a"}, "the field sensor is unknown"),
     ({"protocol": "open"}, "the protocol 'open' is unknown")],
)  # fmt: skip
def test_a_cell_of_a_newer_version_is_named_as_such(tmp_path, cells, change, reason):
    store = Store(tmp_path)
    store.write(cells[0], result())
    folder = store.path(cells[0].id)
    (folder / "cell.json").write_text(json.dumps(json.loads((folder / "cell.json").read_text()) | change))
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)
    records, (unreadable,) = store.scan()
    assert records == []
    assert reason in unreadable.reason
    assert "a newer version of zslbench wrote it; update zslbench" in unreadable.reason


def test_files_among_the_imported_bundles_are_no_bundles_and_rests_of_imports_are_deleted(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result())
    left = store.imported / ".unfinished-1"
    left.mkdir(parents=True)
    (store.imported / "note.txt").touch()
    os.utime(left, (0, 0))
    assert len(store.scan()[0]) == 1
    store.prepare()
    assert sorted(path.name for path in store.imported.iterdir()) == ["note.txt"]


def test_a_cell_that_a_run_computes_is_not_removed(tmp_path, cells):
    store = Store(tmp_path)
    store.prepare()
    store.write(cells[0], result())
    with store.lock(cells[0].id), pytest.raises(BusyError, match="a run computes the cell"):
        remove_cell(store, cells[0].id)
    assert len(store.records()) == 1
    remove_cell(store, cells[0].id)
    assert store.scan() == ([], [])
