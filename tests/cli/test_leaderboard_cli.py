"""``zslbench leaderboard`` as a user meets it."""

import json
import subprocess
import sys

import pytest
from fakes import fake_record, fake_store


@pytest.fixture
def results(tmp_path):
    records = [fake_record(m, i) for m in ("ridge", "eszsl") for i in range(2)]
    fake_store(tmp_path / "runs", [*records, fake_record(semantics="word2vec")])
    return tmp_path / "runs"


def test_an_empty_store_says_what_to_run_and_makes_no_folder(zslbench, tmp_path):
    code, out, err = zslbench("leaderboard", "--results", tmp_path / "nothing")
    assert (code, out) == (2, "")
    assert "zslbench run" in err
    assert not (tmp_path / "nothing").exists()


def test_the_sets_of_an_ensemble_are_named_in_any_order(zslbench, tmp_path):
    fake_store(tmp_path / "runs", [fake_record(features="a+b"), fake_record("eszsl", features="a")])
    for name in ("a+b", "b+a"):
        code, out, _ = zslbench("leaderboard", "--results", tmp_path / "runs", "--format", "json", "--features", name)
        assert (code, [row["features"] for row in json.loads(out)["rows"]]) == (0, ["a+b"])
    code, _, err = zslbench("leaderboard", "--results", tmp_path / "runs", "--features", "c+a")
    assert code == 2
    assert "has --features c+a; there is: a, a+b." in err


def test_filters_and_formats(zslbench, results):
    code, out, _ = zslbench("leaderboard", "--results", results, "--format", "json", "--semantics", "minilm")
    assert code == 0
    assert sorted(row["method"] for row in json.loads(out)["rows"]) == ["eszsl", "ridge"]
    code, out, _ = zslbench("leaderboard", "--results", results, "--method", "ridge", "--semantics", "minilm")
    assert code == 0
    assert "eszsl" not in out


def test_a_filter_without_results_tells_what_there_is(zslbench, results):
    code, _, err = zslbench("leaderboard", "--results", results, "--semantics", "glove")
    assert code == 2
    assert "minilm, word2vec" in err


def test_the_results_folder_comes_from_the_environment(zslbench, results, monkeypatch):
    monkeypatch.setenv("ZSLBENCH_RESULTS", str(results))
    assert zslbench("leaderboard")[0] == 0


def test_out_writes_a_file(zslbench, results, tmp_path):
    code, out, err = zslbench("leaderboard", "--results", results, "--format", "latex", "--out", tmp_path / "t.tex")
    assert (code, out) == (0, "")
    assert "t.tex" in err
    assert r"\toprule" in (tmp_path / "t.tex").read_text()
    code, _, err = zslbench("leaderboard", "--results", results, "--out", tmp_path / "absent" / "t.txt")
    assert code == 2
    assert "--out" in err


def test_the_notes_of_a_table_in_latex_explain_no_column_that_it_lacks(zslbench, results):
    _, out, _ = zslbench("leaderboard", "--results", results, "--format", "latex")
    assert "Interval: 95" in out
    assert "chance:" not in out
    assert "column budget" not in out
    _, out, _ = zslbench("leaderboard", "--results", results, "--format", "latex", "--no-intervals")
    assert "Interval: 95" not in out
    assert "sd: standard deviation" in out
    _, out, _ = zslbench("leaderboard", "--results", results, "--format", "markdown")
    assert "chance: 1 / number of classes" in out
    assert "(column budget)" in out


def test_it_starts_without_heavy_libraries(results):
    heavy = ("torch", "sklearn", "pandas", "mlflow", "matplotlib", "pyarrow")
    code = f"""
import sys
from zslbench.cli import main
try:
    main(["leaderboard", "--results", {str(results)!r}])
finally:
    print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
