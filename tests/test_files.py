"""Files and folders appear whole, or what was there stays."""

import os
import threading
from pathlib import Path

import pytest

from zslbench.errors import ZslbenchError
from zslbench.files import _exchange, check_name, new_directory, new_file, read_csv, read_json, read_lines, read_toml


def interrupted_write(context, error):
    """Write a part through ``new_file`` or ``new_directory``, then fail."""
    with context as work:
        (work / "a" if work.is_dir() else work).write_text("ne")
        raise error


FULL = OSError(28, "No space left on device")


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_nothing_else(tmp_path):
    final = tmp_path / "a.txt"
    final.write_text("old")
    with pytest.raises(ZslbenchError, match=r"cannot write .*a\.txt: No space left on device; free some space"):
        interrupted_write(new_file(final), FULL)
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(new_file(final), KeyboardInterrupt())
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {"a.txt": "old"}


def test_a_file_keeps_its_old_content_until_the_new_one_is_whole(tmp_path):
    final = tmp_path / "new" / "a.npz"
    with new_file(final) as work:
        assert work.suffix == ".npz"  # writers go by it
        work.write_text("1")
        assert not final.exists()
    with new_file(final) as work:
        work.write_text("2")
        assert final.read_text() == "1"
    assert final.read_text() == "2"


def test_a_replaced_folder_is_there_at_every_moment(tmp_path, monkeypatch):
    final, other = tmp_path / "a", tmp_path / "b"
    final.mkdir()
    other.mkdir()
    if not _exchange(other, final):
        pytest.skip("this file system cannot exchange two folders in one step")
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("two renames: between them there is no folder"))
    other.rmdir()
    with new_directory(final, replace=True) as work:
        (work / "new").touch()
    assert [path.name for path in final.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [final]


def test_where_folders_cannot_be_exchanged_a_failure_restores_the_old_one(tmp_path, monkeypatch):
    final = tmp_path / "a"
    final.mkdir()
    (final / "old").touch()
    rename = Path.rename

    def failing(path, target):
        if path.name.endswith("-a"):
            raise OSError(5, "Input/output error", str(path))
        return rename(path, target)

    monkeypatch.setattr("zslbench.files._exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ZslbenchError, match="Input/output error"), new_directory(final, replace=True) as work:
        (work / "new").touch()
    assert [path.name for path in final.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [final]


def test_an_option_s_folder_is_not_made_and_the_option_is_the_remedy(tmp_path):
    with pytest.raises(ZslbenchError, match="choose another place with --out"):
        interrupted_write(new_file(tmp_path / "absent" / "a", option="--out"), FULL)
    assert not (tmp_path / "absent").exists()


def test_pipes_and_links_are_written_to_and_not_replaced(tmp_path):
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    link.symlink_to(target)
    for place in (pipe, link):
        with new_file(place) as work:
            work.write_text("content")
    reader.join()
    assert found == ["content"]
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert target.read_text() == "content"


def test_a_folder_that_cannot_be_finished_leaves_the_old_one_and_nothing_else(tmp_path):
    final = tmp_path / "folder"
    with new_directory(final) as work:
        (work / "a").write_text("old")
    with pytest.raises(ZslbenchError, match="No space left on device"):
        interrupted_write(new_directory(final, replace=True), FULL)
    assert (final / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "A", "-a", "a b", "a:b", "a\n", "ä", "x" * 201])
def test_what_cannot_be_a_file_name_is_refused_with_what_can(name):
    with pytest.raises(ZslbenchError, match="cannot name texts; use lower-case letters, digits, .* 200 at most"):
        check_name(name, "texts")


def test_the_longest_name_leaves_room_for_temporary_names(tmp_path):
    name = check_name("x" * 200, "texts")
    with new_file(tmp_path / f"{name}.json") as work:
        work.write_text("{}")
    with new_directory(tmp_path / f".extract-{name}"):
        pass


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (read_json, '{"a": 1}', {"a": 1}),
        (read_toml, "a = 1", {"a": 1}),
        (read_csv, "a,b\n1,2\n", (["a", "b"], [(2, ["1", "2"])])),
        (lambda path: read_lines(path, "fix it"), "a\nb\n", ["a", "b"]),
    ],
    ids=["json", "toml", "csv", "lines"],
)
def test_a_byte_order_mark_changes_nothing(tmp_path, read, text, value):
    path = tmp_path / "file"
    for start in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(start + text.encode())
        assert read(path) == value
