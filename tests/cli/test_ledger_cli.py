"""``zslbench ledger`` as a user meets it."""

import csv
import io
import json
import re

import pytest


def test_rows_carry_source_marks_and_caveats_as_footnotes(zslbench):
    code, out, _ = zslbench("ledger", "--dataset", "ucf101", "--system", "TZS, with test", "--explain")
    assert code == 0
    (line,) = (line for line in out.splitlines() if line.startswith("TZS"))
    assert re.search(r"ucf101 +50/50 +top1 +20\.8 .*transductive", line)
    assert "[a] Action2Vec (Hahn et al. 2019, arXiv 1901.00484), Table 2, quoting Xu et al. IJCV 2017" in out
    assert "[1] Not verified" in out
    _, brief, _ = zslbench("ledger", "--dataset", "ucf101", "--system", "TZS, with test")
    assert "Not verified" not in brief
    assert "Caveats: 'zslbench ledger SYSTEM' has those of a figure" in brief


def test_a_spread_says_what_it_is_over(zslbench):
    _, out, _ = zslbench("ledger", "--system", "half class", "--dataset", "ucf101")
    assert re.search(r"86\.63 +3\.4 +10 random halves", out)


def test_one_system_is_shown_whole(zslbench):
    code, out, _ = zslbench("ledger", "sav")
    assert code == 0
    assert "hmdb51, 50/50, top1: 15.00 %" in out
    assert "quoted, not read at source" in out
    assert "caveat: Equals the transductive NN + self-training figure" in out


def test_an_exact_name_wins_over_names_that_contain_it(zslbench):
    _, out, _ = zslbench("ledger", "Action2Vec", "--format", "json")
    assert {row["system"] for row in json.loads(out)["rows"]} == {"Action2Vec"}


@pytest.mark.parametrize(("arguments", "hint"), [(("SAW",), "Did you mean SAV"), (("--dataset", "x"), "hmdb51")])
def test_what_is_not_there_ends_with_one_sentence(zslbench, arguments, hint):
    code, out, err = zslbench("ledger", *arguments)
    assert (code, out) == (2, "")
    assert hint in err
    assert len(err.splitlines()) == 1


def test_csv_and_json_hold_the_same_rows_whole(zslbench):
    filters = ("--source", "ICIP 2015", "--protocol", "xu-50/50")
    rows = list(csv.DictReader(io.StringIO(zslbench("ledger", *filters, "--format", "csv")[1])))
    same = json.loads(zslbench("ledger", *filters, "--format", "json")[1])["rows"]
    assert len(rows) == len(same) == 8
    assert [float(row["value"]) for row in rows] == [row["value"] for row in same]
    assert all(row["spread_over"] and row["source"] and row["caveats"] for row in rows)


def test_markdown_escapes_and_keeps_footnotes(zslbench):
    _, out, _ = zslbench("ledger", "--system", "SAV", "--format", "markdown")
    assert out.startswith("| system ")
    assert r"* \[1\] Equals" in out


def test_a_broken_package_is_named_and_the_rest_works(zslbench, monkeypatch):
    from zslbench.ledger import published

    bad = [{"system": "x"}]
    monkeypatch.setattr(published.LEDGERS, "names", lambda: ["broken", "zslbench"])
    get = published.LEDGERS.get
    monkeypatch.setattr(published.LEDGERS, "get", lambda name: get(name) if name == "zslbench" else lambda: bad)
    published._of_packages.cache_clear()
    try:
        code, out, err = zslbench("ledger", "SAV")
    finally:
        published._of_packages.cache_clear()
    assert code == 0
    assert "row 0 of the published figures 'broken'" in err
    assert "15.80" in out
