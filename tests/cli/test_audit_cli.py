"""``zslbench audit`` and ``zslbench splits filter`` as a user types them."""

import json
import re

import pytest
from audited import features_with, record
from fakes import fake_store

from zslbench.cli.audit import _console
from zslbench.datasets.catalog import get_dataset
from zslbench.overlap.filters import filter_classes


@pytest.fixture
def runs(tmp_path):
    """Results of two methods on a feature set that leaks, and of one on a clean one."""
    leaking = features_with(name="leaking", trained_on=["sports1m"], pca_fit="all")
    clean = features_with(name="clean", trained_on=["nothing"])
    fake_store(tmp_path / "runs", [record(leaking), record(leaking, method="eszsl"), record(clean)])
    return tmp_path / "runs"


def test_console_names_code_evidence_rows_and_remedy(zslbench, runs):
    code, out, _ = zslbench("audit", "--results", runs)
    assert code == 0
    assert "LEAK L1  unseen classes were labels" in out
    assert "fencing ~ fencing (same name; cosine 1.00)" in out
    assert re.search("rows: (ridge, eszsl|eszsl, ridge)", out)
    assert "zslbench splits filter hmdb51 --against sports1m --save NAME" in " ".join(out.split())
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert f"Audit of 3 cells in {runs}: 2 leaks, " in " ".join(out.split())


def test_strict_exits_with_one_only_where_there_is_a_leak(zslbench, runs):
    assert zslbench("audit", "--results", runs, "--strict")[0] == 1
    assert zslbench("audit", "--results", runs, "--strict", "--features", "clean")[0] == 0
    assert zslbench("audit", "--results", runs, "--features", "leaking")[0] == 0


def test_severity_hides_what_is_less_severe(zslbench, runs):
    _, out, _ = zslbench("audit", "--results", runs, "--severity", "leak")
    assert "LEAK L1" in out
    assert "WARNING" not in out
    assert "NOTE" not in out


def test_json_is_complete_where_the_console_is_short(zslbench, runs):
    _, out, _ = zslbench("audit", "--results", runs, "--format", "json")
    found = json.loads(out)["findings"]
    assert {f["code"] for f in found if f["severity"] == "leak"} == {"L1", "L4"}
    (overlap,) = [f for f in found if f["code"] == "L1"]
    assert overlap["classes"] == ["fencing"]
    assert sorted(overlap["rows"]) == ["eszsl", "ridge"]


def test_markdown_has_a_heading_a_finding(zslbench, runs):
    _, out, _ = zslbench("audit", "--results", runs, "--format", "markdown", "--severity", "leak")
    assert out.count("\n### ") == 2
    assert "### L4 (leak):" in out


def test_long_evidence_is_cut_on_the_console_and_whole_in_markdown(zslbench):
    features_with("ucf101", "all", classes=get_dataset("ucf101").classes, trained_on=["kinetics400"])
    _, short, _ = zslbench("audit", "--features-only", "ucf101@all", "--family", "xu-50/50")
    _, whole, _ = zslbench("audit", "--features-only", "ucf101@all", "--family", "xu-50/50", "--format", "markdown")
    assert "more (--format json has all)" in short
    assert len(re.findall(r"^\* ", whole, re.M)) > len(re.findall("^    ", short, re.M))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--features-only", "hmdb51"], "is not DATASET@NAME"),
        (["--features-only", "hmdb51@nothing"], "no feature set 'nothing'"),
        (["--features-only", "hmdb51@clean", "--method", "ridge"], "--method chooses results"),
        (["--results", "nowhere"], "no result is stored in nowhere"),
        (["--features-only", "hmdb51@clean", "--family", "xu"], "no split family 'xu'"),
    ],
)
def test_bad_input_ends_with_one_sentence(zslbench, runs, options, says):
    code, _, error = zslbench("audit", *options)
    assert code == 2
    assert says in error


def test_filter_shows_what_is_removed_and_why(zslbench):
    code, out, _ = zslbench("splits", "filter", "ucf101", "--rule", "truze-v1", "--against", "kinetics400")
    assert code == 0
    assert "Archery" in out
    assert "decided by the authors of the rule" in out
    assert "3 kept by the rule's authors although their names are similar" in out
    assert out.splitlines()[-1] == "ucf101, rule truze-v1 against kinetics400: 67 of 101 classes removed, 34 left."


def test_filtered_classes_are_kept_as_a_family_that_runs_can_use(zslbench):
    code, _, error = zslbench("splits", "filter", "ucf101", "--against", "sports1m", "--save", "clean")
    assert code == 0
    assert "'--family clean'" in error
    split = get_dataset("ucf101").family("clean").splits[0]
    found = filter_classes("semantic", "ucf101", ("sports1m",))
    assert set(found.kept) == set(split.unseen)
    assert set(found.removed) == set(split.seen)
    again = zslbench("splits", "filter", "ucf101", "--against", "sports1m", "--save", "clean")
    assert again[0] == 2
    assert "already" in again[2]


def test_filter_refuses_names_that_built_in_families_have(zslbench):
    code, _, error = zslbench("splits", "filter", "ucf101", "--against", "sports1m", "--save", "truze-v1")
    assert code == 2
    assert "built-in family" in error


def test_a_filtered_family_passes_the_audit_that_asked_for_it(zslbench):
    features_with("ucf101", "all", classes=get_dataset("ucf101").classes, trained_on=["sports1m"])
    zslbench("splits", "filter", "ucf101", "--against", "sports1m", "--save", "clean")
    assert zslbench("audit", "--features-only", "ucf101@all", "--family", "xu-50/50", "--strict")[0] == 1
    code, out, _ = zslbench("audit", "--features-only", "ucf101@all", "--family", "clean", "--strict")
    assert code == 0
    assert "L1" not in out
    assert "W1 " not in out


def test_the_leaderboard_marks_rows_that_leak_and_says_what_the_mark_means(zslbench, runs):
    _, out, _ = zslbench("leaderboard", "--results", runs)
    (row,) = [line for line in out.splitlines() if line.startswith("eszsl")]
    assert "eszsl [L1] [L4]" in row
    assert "[L1]: unseen classes were labels" in out
    _, out, _ = zslbench("leaderboard", "--results", runs, "--features", "clean", "--format", "json")
    assert [row["leaks"] for row in json.loads(out)["rows"]] == [[]]


@pytest.mark.slow
def test_a_strict_run_refuses_features_that_leak_before_anything_runs(zslbench, tmp_path):
    features_with(name="leaking", trained_on=["sports1m"], pca_fit="all")
    features_with(name="clean", trained_on=["nothing"])
    run = ("run", "--method", "ridge", "--dataset", "hmdb51", "--splits", "1", "--no-track", "--strict")
    code, _, err = zslbench(*run, "--features", "leaking", "--results", tmp_path / "refused")
    assert code == 2
    assert "L4" in err
    assert not (tmp_path / "refused").exists()
    assert zslbench(*run, "--features", "clean", "--results", tmp_path / "done")[0] == 0


def test_the_last_line_fits_beside_a_long_path():
    subject = f"10 cells in /{30 * 'a'}/{20 * 'b'}"  # with the counts, it is over 80 characters
    last = _console([], [], subject).splitlines()
    assert len(last) == 2
    assert max(map(len, last)) <= 80
    assert " ".join(map(str.strip, last)) == f"Audit of {subject}: nothing found."
