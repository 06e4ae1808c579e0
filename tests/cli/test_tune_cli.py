"""``zslbench tune`` ends with a command that runs its best trial, continues, and copies its trials into MLflow."""

import re
import shlex
import shutil
from unittest import mock

import pytest
from tiny import make_features

from zslbench.tracking.trials import SCORE
from zslbench.tune.study import Study, read_studies


@pytest.fixture
def tune(zslbench, tmp_path):
    make_features()

    def run(*more, method="ridge", track=False):
        line = ("tune", method, "--dataset", "hmdb51", "--features", "tiny", "--folds", "2", *more)
        return zslbench(*line, "--results", tmp_path / "results", *(() if track else ("--no-track",)))

    return run


def printed_command(out):
    return shlex.split(out.partition("zslbench run")[2].replace("\\\n", " "))


def test_the_printed_command_runs_the_best_trial(tune, zslbench, tmp_path):
    code, out, err = tune("--trials", "6", "--set", "ridge.alpha=0.1,1,100", "--set", "ridge.unit_features=false",
                          "--set", "ridge.centre=false")  # fmt: skip
    assert code == 0
    assert "searching ridge.alpha: 4 trials" in err
    assert "[4/4] trial 3" in err
    assert max(len(line) for line in out.splitlines() if str(tmp_path) not in line) <= 80
    words = printed_command(out)
    ((_, trials),) = read_studies(tmp_path / "results")
    best = max(trials, key=lambda trial: trial.score)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--set"] == [
        "ridge.unit_features=false", "ridge.centre=false", *best.settings,
    ]  # fmt: skip
    code, out, _ = zslbench("run", *words, "--no-track")
    assert code == 0
    assert "ridge (" in out


def test_the_scores_are_the_mean_and_the_spread_over_folds(tune):
    _, out, _ = tune("--trials", "4", "--folds", "3")
    rows = [line for line in out.splitlines() if re.match(r"(the defaults|trial \d+) +\d", line)]
    assert rows
    for row in rows:
        mean, spread, *folds = map(float, re.findall(r"\d+\.\d", row))
        assert len(folds) == 3
        assert mean == pytest.approx(sum(folds) / 3, abs=0.1)
        assert spread == pytest.approx((sum((f - mean) ** 2 for f in folds) / 2) ** 0.5, abs=0.15)


def test_the_same_command_continues(tune):
    tune("--trials", "3")
    _, _, err = tune("--trials", "5")
    assert "5 trials, 3 kept from before" in " ".join(err.split())
    assert "[4/5] trial 3" in err
    assert "[3/5]" not in err


def test_ctrl_c_keeps_the_trials_and_says_how_to_continue(tune, monkeypatch):
    run = Study.run

    def interrupted(self, trials, **how):
        run(self, 2, **how)
        raise KeyboardInterrupt

    with mock.patch.object(Study, "run", interrupted):
        code, _, err = tune("--trials", "5")
    assert code == 130
    assert "stopped: 2 trials are kept; the same command continues." in err
    assert "2 kept from before" in " ".join(tune("--trials", "3")[2].split())


def test_what_a_method_refuses_is_one_sentence_in_each_line(tune):
    code, _, err = tune("--trials", "1", "--set", "pooled-krr.kernel=chi2", method="pooled-krr")
    assert code == 2
    assert "kernel=rbf: the defaults" in err
    assert err.endswith("kernel=rbf.\n")


def test_several_splits_are_searched_with_a_note_about_their_classes(tune):
    code, out, err = tune("--trials", "2", "--splits", "2")
    assert code == 0
    assert "the 2 splits share classes" in " ".join(err.split())
    assert "--splits 2" in out


@pytest.mark.parametrize(
    ("method", "options", "sentence"),
    [
        ("random", (), "random has nothing to search"),
        ("ridge", ("--set", "ridge.alpha=0"), "ridge.alpha: .*it takes a number > 0 or null"),
        ("ridge", ("--set", "eszsl.gamma=1"), "--set names 'eszsl'"),
        ("ridge", ("--family", "xu50"), "Did you mean"),
        ("rigde", (), "Did you mean ridge"),
        ("ridge", ("--folds", "20"), "26 seen classes, too few for 20 folds"),
        ("ridge", ("--trials", "0"), "--trials"),
    ],
)
def test_each_mistake_gets_one_sentence(tune, method, options, sentence):
    code, _, err = tune(*options, method=method)
    assert code == 2
    assert re.search(sentence, err)
    assert len(err.strip().splitlines()) == 1


def test_trials_are_in_mlflow_once_each_and_can_be_copied_again(tune, zslbench, tmp_path, empty_mlflow):
    from mlflow import MlflowClient

    results = tmp_path / "results"
    results.mkdir()
    shutil.copy(empty_mlflow, results)
    tune("--trials", "2", "--set", "ridge.alpha=0.1,100", track=True)
    tune("--trials", "4", "--set", "ridge.alpha=0.1,100", track=True)

    def runs():
        client = MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
        return client.search_runs([client.get_experiment_by_name("zslbench/hmdb51@tiny/tune").experiment_id])

    ((_, trials),) = read_studies(results)
    found = {run.data.tags["zslbench.trial"]: run for run in runs()}
    assert sorted(found) == [str(trial.number) for trial in trials]
    assert len(runs()) == len(trials)
    for trial in trials:
        run = found[str(trial.number)]
        assert run.data.params["method"] == "ridge"
        assert run.data.metrics.get(SCORE) == pytest.approx(trial.score)
    shutil.copy(empty_mlflow, results)
    code, out, _ = zslbench("track", "sync", "--results", results)
    assert (code, f"{len(trials)} trials of 'zslbench tune' created" in out) == (0, True)
    assert len(runs()) == len(trials)
