import contextlib
import json
import os
import sqlite3
import time

import pytest
from tiny import make_features, plan

from zslbench.cells.cell import ClassCounts, Failure, Result, State
from zslbench.cells.store import Store, Unreadable
from zslbench.errors import ZslbenchError
from zslbench.files import UNFINISHED

pytestmark = pytest.mark.versions


def result(state=State.DONE, top1=0.5):
    counts = ClassCounts(names=("a", "b"), unseen=(True, True), scored=(4, 4), top1=(2, 2), top5=(4, 4))
    failure = None if state is State.DONE else Failure(type="E", message="m", traceback="a long story")
    return Result(state=state, metrics={"top1": top1}, classes=counts, started=1.0, finished=2.0, failure=failure)


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


def test_the_index_says_the_same_as_the_directories(tmp_path, cells):
    store = Store(tmp_path)
    for cell in cells:
        store.write(cell, result())
    first = store.records()
    assert (tmp_path / "index.sqlite").is_file()
    for path in store.cells.iterdir():  # same sizes and times, other content: only the index is read
        times = (path / "result.json").stat()
        (path / "result.json").write_bytes(b"x" * times.st_size)
        os.utime(path / "result.json", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Store(tmp_path).records() == first
    assert [r.cell for r in first] == sorted(cells, key=lambda cell: cell.id)
    assert all(r.result == result() for r in first)


def test_the_index_notices_rewritten_new_and_deleted_cells(tmp_path, cells):
    store = Store(tmp_path)
    store.write(cells[0], result(top1=0.1))
    store.write(cells[1], result(top1=0.1))
    list(store.records())
    store.write(cells[0], result(top1=0.9))
    store.write(cells[2], result(top1=0.2))
    for file in store.path(cells[1].id).iterdir():
        file.unlink()
    store.path(cells[1].id).rmdir()
    figures = {r.cell.id: r.result.metrics["top1"] for r in store.records()}
    assert figures == {cells[0].id: 0.9, cells[2].id: 0.2}


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
        ("cell.json", "", "cell.json: Invalid JSON: EOF while parsing"),
        ("result.json", '{"state": "done", "sta', "result.json: Invalid JSON: EOF while parsing"),
        ("result.json", '{"state": "splendid"}', "result.json: Input should be 'done', 'failed'"),
        ("cell.json", None, "cell.json: No such file or directory"),
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_a_cell_that_cannot_be_read_is_returned_as_such_and_is_missing(tmp_path, cells, file, content, reason, indexed):
    store = Store(tmp_path)
    for cell in cells:
        store.write(cell, result())
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
    store.write(cells[0], result(top1=0.1))
    monkeypatch.setattr(json, "dumps", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ZslbenchError, match="No space left"):
        store.write(cells[0], result(top1=0.9))
    monkeypatch.undo()
    assert store.read(cells[0].id).result.metrics["top1"] == 0.1
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
        for done in [pool.submit(write, i / 10) for i in range(4)]:
            done.result()
    assert Store(tmp_path).read(cells[0].id).result.metrics["top1"] in (0.0, 0.1, 0.2, 0.3)
    assert [p.name for p in (tmp_path / "cells").iterdir()] == [cells[0].id]
