"""Names on the command line: other spellings of datasets, misspelt names, and completion by a shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, FishComplete, ZshComplete
from tiny import make_features

from zslbench.cli import cli
from zslbench.datasets.catalog import DatasetFile, add_dataset, dataset_name, get_dataset
from zslbench.run.experiment import make_experiment

MEANT = {
    "hmdb51": ["HMDB51", "hmdb", "HMDB-51", "hmdb_51", " hmdb 51 "],
    "ucf101": ["UCF-101", "ucf", "UCF 101", "Ucf101"],
    "kinetics400": ["Kinetics-400", "K400", "k-400", "kinetics_400", "KINETICS400"],
    "kinetics600": ["K600", "kinetics 600"],
    "kinetics700": ["K700"],
    "olympicsports16": ["Olympic Sports", "olympic-sports", "OlympicSports16"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in MEANT.items() for text in texts])
def test_a_dataset_is_understood_as_people_write_it(name, text):
    assert dataset_name(text) == name
    assert get_dataset(text).name == name


@pytest.mark.parametrize("text", ["kinetics", "K500", "4", "", "-", "hm", "hmdb52", "../hmdb51"])
def test_what_could_mean_several_datasets_or_none_stays(text):
    assert dataset_name(text) == text


def test_a_dataset_of_ones_own_keeps_its_name():
    for name in ("ucf11", "kinetics-small"):
        add_dataset(DatasetFile(name=name, classes=("run", "walk")), lambda path, texts: None)
    assert dataset_name("ucf11") == dataset_name("UCF-11") == "ucf11"
    assert dataset_name("hmdb") == "hmdb51"  # no dataset of one's own can take it: tests/datasets/test_catalog.py
    assert dataset_name("ucf") == "ucf"  # ucf11 or ucf101
    assert dataset_name("Kinetics Small") == "kinetics-small"


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["datasets", "UCF-101"], "ucf101: UCF101"),
        (["splits", "hmdb", "xu-50/50"], "hmdb51 xu-50/50"),
        (["datasets", "lists", "UCF-101"], "official-1"),
        (["texts", "show", "HMDB", "climb"], "climb"),
        (["splits", "filter", "HMDB-51", "--against", "K400"], "hmdb51, rule semantic against kinetics400"),
        (["ledger", "--dataset", "Kinetics-400"], "kinetics400"),
        (["protocols", "--dataset", "HMDB-51"], "hmdb51"),
        (["run", "--method", "random", "--dataset", "HMDB", "--features", "tiny", "--dry-run"], "hmdb51@tiny"),
        (["features", "show", "HMDB-51", "tiny"], "hmdb51@tiny"),
        (["features", "list", "Hmdb"], "hmdb51@tiny"),
        (["audit", "--features-only", "HMDB-51@tiny"], "hmdb51@tiny"),
    ],
)
def test_every_verb_understands_a_dataset_as_people_write_it(zslbench, args, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_features()
    code, out, err = zslbench(*args)
    assert (code, err.count("Traceback")) == (0, 0), err
    assert shown in out


def test_an_experiment_of_a_file_or_of_python_understands_datasets():
    made = make_experiment({"method": "ridge", "dataset": ["HMDB", "K400"], "train": "K700", "auxiliary": "UCF-101@x"})
    assert (made.dataset, made.train, made.auxiliary) == (("hmdb51", "kinetics400"), "kinetics700", "ucf101@x")


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["run", "--method", "RIGDE", "--dataset", "hmdb51"], "Did you mean ridge"),
        (["run", "--method", "ridge", "--dataset", "kinetics"], "Did you mean kinetics"),
        (["run", "--method", "ridge", "--dataset", "hmdb51", "--features", "Tinny"], "Did you mean tiny?"),
        (["run", "--method", "ridge", "--dataset", "hmdb51", "--semantics", "Minlm"], "Did you mean minilm"),
        (["run", "--method", "ridge", "--dataset", "hmdb51", "--family", "XU50"], "Did you mean xu-50/50"),
        (["run", "--method", "ridge", "--dataset", "hmdb51", "--protocol", "gszl"], "Did you mean gzsl"),
        (["semantics", "show", "minlm"], "Did you mean minilm"),
        (["methods", "Actoin2Vec"], "Did you mean action2vec"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_one(zslbench, args, hint):
    make_features()
    code, _, err = zslbench(*args)
    assert (code, len(err.splitlines())) == (2, 1)
    assert hint in err


def test_a_misspelt_protocol_in_an_experiment_gets_the_nearest_one():
    with pytest.raises(Exception, match="'gszl' is not known. Did you mean gzsl or zsl"):
        make_experiment({"method": "ridge", "dataset": "hmdb51", "protocol": "gszl"})


def test_a_protocol_is_understood_in_capitals(zslbench):
    make_features()
    args = ["--method", "random", "--dataset", "hmdb51", "--features", "tiny", "--protocol", "ZSL", "--dry-run"]
    assert zslbench("run", *args)[0] == 0


def completed(words, shell=BashComplete):
    *args, incomplete = words.split(" ")[1:]
    return [item.value for item in shell(cli, {}, "zslbench", "_ZSLBENCH_COMPLETE").get_completions(args, incomplete)]


@pytest.mark.parametrize("shell", [BashComplete, ZshComplete, FishComplete])
@pytest.mark.parametrize(
    ("words", "some"),
    [
        ("zslbench lead", ["leaderboard"]),
        ("zslbench run --me", ["--method", "--memory-limit"]),
        ("zslbench run --method act", ["action2vec"]),
        ("zslbench run --method ridge --dataset kin", ["kinetics400", "kinetics600", "kinetics700"]),
        ("zslbench run --dataset hmdb51 --features ", ["tiny"]),
        ("zslbench run --dataset ucf101 --features ", []),
        ("zslbench run --dataset hmdb51 --semantics minilm-d", ["minilm-definition"]),
        ("zslbench run --dataset hmdb51 --family xu", ["xu-50/50"]),
        ("zslbench run --protocol g", ["gzsl"]),
        ("zslbench features show hmdb51 t", ["tiny"]),
        ("zslbench methods ri", ["ridge"]),
        ("zslbench check ri", ["ridge"]),
        ("zslbench datasets uc", ["ucf101"]),
        ("zslbench splits show uc", ["ucf101"]),
        ("zslbench results ex", ["export"]),
        ("zslbench compare rid", ["ridge"]),
    ],
)
def test_a_shell_completes(words, some, shell):
    make_features()
    assert completed(words, shell) == some


def test_a_shell_completes_ids_of_cells(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert completed("zslbench results show ") == []
    for place, cell in (("results/runs", "3f2a"), ("results/runs", "40bc"), ("results/runs", ".new"), ("mine", "3f9d")):
        (tmp_path / place / "cells" / cell).mkdir(parents=True)
    assert completed("zslbench results show ") == ["3f2a", "40bc"]
    assert completed("zslbench results show 3") == ["3f2a"]
    assert completed("zslbench results show --results mine 3") == ["3f9d"]
    assert completed("zslbench results remove 4") == ["40bc"]


def test_a_shell_completes_folders_of_results():
    assert [item.type for item in BashComplete(cli, {}, "zslbench", "_").get_completions(["run", "--results"], "")] == [
        "dir"
    ]


def test_completion_is_fast_writes_nothing_and_imports_no_verb(tmp_path):
    environment = os.environ | {
        "COMP_WORDS": "zslbench run --dataset hmdb51 --features ", "COMP_CWORD": "5",
        "_ZSLBENCH_COMPLETE": "bash_complete", "ZSLBENCH_DATA_ROOT": str(tmp_path / "data"), "HOME": str(tmp_path),
    }  # fmt: skip
    command = [sys.executable, "-m", "zslbench"]
    start = os.times().children_user
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
    assert os.times().children_user - start < 2
    assert list(Path(tmp_path).rglob("*")) == []
    code = (
        "import sys; from zslbench.cli import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(str('zslbench.cli.run' in sys.modules))"
    )
    environment |= {"COMP_WORDS": "zslbench r", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (
        [f"plain,{verb}" for verb in ("run", "results", "report", "reproduce", "resources")],
        "False",
    )


@pytest.mark.parametrize(
    ("line", "bounds"),
    [
        ("tune ridge --dataset hmdb51 --timeout nan", "x>0"),
        ("run --method ridge --dataset hmdb51 --timeout nan", "x>0"),
        ("compare ridge sae --level NaN", "0.5<=x<1"),
    ],
)
def test_what_is_no_number_is_in_no_range(zslbench, line, bounds):
    code, _, err = zslbench(*line.split())
    assert code == 2
    assert f"is not in the range {bounds}" in err
