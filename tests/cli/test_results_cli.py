"""``zslbench results`` as a user types it."""

import json

import pytest
from tiny import make_features

from zslbench.cells.store import Store


@pytest.fixture
def results(zslbench, tmp_path):
    make_features()
    line = ["--method", "random", "--dataset", "hmdb51", "--features", "tiny", "--splits", "2", "--no-track"]
    assert zslbench("run", *line, "--results", tmp_path / "runs")[0] == 0
    return tmp_path / "runs"


def test_verify_says_that_nothing_is_wrong_and_exits_with_zero(zslbench, results):
    code, out, _ = zslbench("results", "verify", "--results", results)
    assert (code, out) == (0, "2 cells verified: nothing wrong (2 done)\n")


def test_verify_lists_what_is_wrong_within_80_columns_and_exits_with_one(zslbench, results):
    store = Store(results)
    one, other = (store.path(name) for name in store.names())
    (one / "result.json").write_text("{}")
    (other / "environment.json").unlink()
    (other / "a file with a very long name, longer than any that zslbench writes into the folder of a cell").touch()
    code, out, _ = zslbench("results", "verify", "--results", results)
    assert code == 1
    assert f"unreadable: {one.name}\n  result.json does not match SHA256SUMS\n" in out
    assert f"unreadable: {other.name}\n  environment.json is missing\n" in out
    assert out.splitlines()[-1].startswith("2 cells verified: 2 things wrong (2 unreadable")
    assert max(map(len, out.splitlines())) <= 80


def test_verify_as_json_is_complete(zslbench, results):
    (Store(results).cells / ".unfinished-1-x").mkdir()
    code, out, _ = zslbench("results", "verify", "--results", results, "--format", "json")
    found = json.loads(out)
    assert code == 1
    assert found["states"] == {"done": 2}
    assert [defect["where"] for defect in found["defects"]] == ["cells/.unfinished-1-x"]


def test_verify_of_no_folder_is_a_mistake(zslbench, tmp_path):
    code, _, err = zslbench("results", "verify", "--results", tmp_path / "absent")
    assert code == 2
    assert "there is no results folder" in err


def test_names_from_a_damaged_store_cannot_control_the_terminal(zslbench, results):
    (Store(results).cells / "evil\x1b[31m\nname").mkdir()
    _, out, _ = zslbench("results", "verify", "--results", results)
    assert "\x1b" not in out
    assert "evil" in out
