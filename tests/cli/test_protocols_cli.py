"""``zslbench protocols`` and ``run --protocol-of`` as a user meets them."""

import json
import re
from pathlib import Path

import pytest
import tiny

from zslbench.protocols.settings import all_settings

ROOT = Path(__file__).parents[2]


def test_the_list_has_every_setting_in_eighty_columns(zslbench):
    code, out, _ = zslbench("protocols")
    assert code == 0
    assert {line.partition(" ")[0] for line in out.splitlines()} >= set(all_settings())
    assert max(map(len, out.splitlines())) <= 80


def test_one_setting_is_shown_with_its_figures_and_a_command_that_a_shell_takes(zslbench):
    code, out, _ = zslbench("protocols", "k400->ucf101/lists")
    assert code == 0
    joined = " ".join(out.replace("\\\n", " ").split())
    assert "zslbench run --method METHOD --dataset ucf101 --family 'k400->ucf101/lists' --splits all" in joined
    assert re.search(r"FROSTER B/16 +ucf101 +top1 +84\.8 ± 1\.1 +froster", out)
    assert "The lists have the same classes" in out


def test_a_dataset_leaves_the_settings_that_test_it(zslbench):
    _, out, _ = zslbench("protocols", "--dataset", "kinetics600", "--format", "json")
    (record,) = json.loads(out)
    assert record["name"] == "kinetics-zsar"
    assert record["command"].startswith("zslbench run --method METHOD --dataset kinetics600")


@pytest.mark.parametrize(("arguments", "hint"), [(("truze",), "Did you mean truze-v"), (("--dataset", "x"), "hmdb51")])
def test_what_is_not_there_ends_with_one_sentence(zslbench, arguments, hint):
    code, out, err = zslbench("protocols", *arguments)
    assert (code, out) == (2, "")
    assert hint in err
    assert len(err.splitlines()) == 1


def test_the_page_and_the_readme_say_what_the_catalogue_says(zslbench):
    _, out, _ = zslbench("protocols", "--format", "markdown")
    assert out in (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    table = out.partition("\n\n## ")[0].replace("](#", "](docs/protocols.md#")
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_protocol_of_runs_all_splits_of_the_setting_and_ranks_by_its_figure(zslbench, tmp_path):
    tiny.make_features()
    results = tmp_path / "runs"
    code, out, err = zslbench(
        "run", "--method", "random", "--dataset", "hmdb51", "--protocol-of", "xu-icip-2015", "--results", results,
        "--no-track",
    )  # fmt: skip
    assert code == 0, err
    assert "as xu-icip-2015 reports (xu-50/50-first-30): protocol zsl, family xu-50/50, splits 30" in err
    assert "30 cells: 0 kept from before, 30 to run" in err
    assert "30/50" in out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--protocol-of", "zsarcap:truze-v1", "--splits", "1"), "--splits 1 contradicts"),
        (("--protocol-of", "zsarcap:truze-v1", "--family", "xu-50/50"), "--family xu-50/50 contradicts"),
        (("--protocol-of", "zsarcap:truze-v1", "--protocol", "gzsl"), "--protocol gzsl contradicts"),
        (("--protocol-of", "zsarcap:truze-v1", "--dataset", "kinetics400"), "--dataset kinetics400 contradicts"),
        (("--protocol-of", "x-clip:2-shot", "--shots", "2"), "--shots is part of a setting"),
        (("--protocol-of", "sti", "--dataset", "ucf101", "--train", "kinetics400"), "--train is part of a setting"),
        (("--protocol-of", "zsarcap:truze-v1"), "on hmdb51, ucf101; choose with --dataset"),
        (
            ("--protocol-of", "action2vec:80/20", "--dataset", "hmdb51", "--dataset", "ucf101"),
            "one --dataset at a time",
        ),
        (("--protocol-of", "action2vec", "--dataset", "hmdb51"), "action2vec reports 3 settings"),
        (("--protocol-of", "nobody"), "no source of the ledger is called 'nobody'"),
    ],
)
def test_what_contradicts_or_does_not_choose_ends_with_one_sentence(zslbench, tmp_path, options, says):
    code, out, err = zslbench("run", "--method", "random", "--results", tmp_path / "runs", *options)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
