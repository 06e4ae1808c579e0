"""Several values of a parameter make variants, and nothing that was set is left out without a word."""

from typing import Literal
from unittest import mock

import pytest
from pydantic import Field
from tiny import make_features, plan

from zslbench.errors import ZslbenchError, takes
from zslbench.method import Method, MethodInfo, MethodParams
from zslbench.registry import METHODS
from zslbench.run.experiment import make_experiment, parse_settings, read_experiment
from zslbench.run.plan import make_plan
from zslbench.run.variants import values_of, variants


class Listing(Method):
    info = MethodInfo(name="listing", summary="A method whose parameters take lists.")

    class Params(MethodParams):
        layers: list[int] = Field([8])
        stages: list[list[int]] = Field([[8]])
        note: str = ""
        rate: float | None = 1.0
        kernel: Literal["rbf", "none"] = "rbf"

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return videos.pooled()[:, :1] @ classes.vectors[:, :1].T


def texts(label, *settings):
    return [variant.text for variant in variants(label, parse_settings(settings))]


def values(name, text):
    return values_of(Listing.Params, "listing", name, parse_settings((f"listing.{name}={text}",))["listing"][name])


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("rate", "0.1,1,10", [0.1, 1, 10]),
        ("rate", "[0.1, 1]", [0.1, 1]),
        ("rate", "null,1", [None, 1]),
        ("rate", "2", [2]),
        ("kernel", "rbf,none", ["rbf", "none"]),
        ("layers", "[1, 2]", [[1, 2]]),
        ("layers", "[1, 2],[3]", [[1, 2], [3]]),
        ("layers", "[[1, 2], [3]]", [[1, 2], [3]]),
        ("stages", "[[1, 2], [3]]", [[[1, 2], [3]]]),
        ("stages", "[[[1]], [[2]]]", [[[1]], [[2]]]),
        ("note", "a,b", ["a,b"]),
        ("note", '["a", "b"]', ["a", "b"]),
    ],
)
def test_a_value_that_the_parameter_accepts_is_one_value_and_other_lists_are_several(name, text, found):
    assert values(name, text) == found


def test_several_settings_make_a_grid_in_which_the_last_one_changes_fastest():
    assert texts("ridge", "ridge.alpha=1,2", "ridge.unit_features=true,false", "ridge.folds=4") == [
        "alpha=1, unit_features=true", "alpha=1, unit_features=false",
        "alpha=2, unit_features=true", "alpha=2, unit_features=false",
    ]  # fmt: skip


def test_one_value_makes_no_variant():
    assert texts("ridge", "ridge.alpha=1") == [""]
    assert texts("ridge") == [""]


def test_a_setting_of_the_preset_or_the_step_replaces_that_of_the_method():
    assert texts("ridge+nrm", "ridge.alpha=1,2", "ridge+nrm.alpha=3") == [""]
    (variant,) = variants("ridge+nrm", parse_settings(("ridge.alpha=1,2", "ridge+nrm.alpha=3")))
    assert variant.params.alpha == 3


def test_parameters_of_steps_vary_too():
    found = variants("ridge+self-training", parse_settings(("self-training.neighbours=5,9", "ridge.alpha=1,2")))
    assert [(v.params.alpha, v.params.self_training.neighbours) for v in found] == [(1, 5), (1, 9), (2, 5), (2, 9)]
    assert found[0].text == "alpha=1, self-training.neighbours=5"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("ridge.alpha=1", "ridge.alpha=2"), "--set ridge.alpha occurs twice; leave one out, or write"),
        (("ridge.alpha=0.1,strong",), r"ridge.alpha: .*valid number.*'strong'.*it takes a number > 0 or null"),
        (("ridge.alpha=0.1,-1",), r"ridge.alpha: .*greater than 0.*it takes a number > 0 or null"),
        (("ridge.alpha=0.1,",), "ridge.alpha: .*got ''.*it takes a number > 0 or null"),
        (("ridge.alpha=[]",), "ridge.alpha is an empty list; it takes a number"),
        (("ridge.alpha=1,1.0",), r"alpha=1 and alpha=1.0 are the same parameters"),
        (("ridge.unit_features=1,yep",), "ridge.unit_features: .*it takes true or false"),
        (("ridge.alpah=1,2",), "ridge has no parameter 'alpah'. Did you mean alpha"),
        (("self-training.neighbours=5,few",), "self-training.neighbours: .*it takes a whole number >= 1"),
    ],
)
def test_a_value_that_is_wrong_gets_one_sentence_with_what_the_parameter_takes(settings, sentence):
    label = "ridge+self-training" if settings[0].startswith("self") else "ridge"
    with pytest.raises(ZslbenchError, match=sentence) as raised:
        variants(label, parse_settings(settings))
    assert "\n" not in str(raised.value)


def test_a_wrong_choice_is_answered_with_the_choices():
    with pytest.raises(ZslbenchError, match=r"pooled-krr.kernel: .*'rbf', 'chi2', 'linear' or 'cosine' \(got 'rbg'\)"):
        variants("pooled-krr", parse_settings(("pooled-krr.kernel=rbf,rbg",)))


@pytest.mark.parametrize(
    ("name", "words"),
    [("rate", "a number or null"), ("kernel", "rbf or none"), ("layers", "list[int]"), ("note", "a text")],
)
def test_the_words_for_what_a_parameter_takes(name, words):
    assert takes(Listing.Params.model_fields[name]) == words


def test_a_list_in_a_file_makes_the_cells_of_the_values_between_commas(tmp_path):
    make_features()
    path = tmp_path / "experiment.toml"
    path.write_text('method = "ridge"\ndataset = "hmdb51"\nfeatures = "tiny"\n[set.ridge]\nalpha = [0.5, 2]\n')
    from_file = make_plan(make_experiment(read_experiment(path))).cells
    from_options = plan(method="ridge", set=parse_settings(("ridge.alpha=0.5,2",)))
    assert [c.id for c in from_file] == [c.id for c in from_options]
    assert [(c.split, c.params["alpha"], c.name) for c in from_file] == [
        (0, 0.5, "ridge (alpha=0.5)"), (0, 2, "ridge (alpha=2)"),
        (1, 0.5, "ridge (alpha=0.5)"), (1, 2, "ridge (alpha=2)"),
    ]  # fmt: skip


def test_a_variant_is_the_same_cell_as_a_run_with_its_value_alone():
    make_features()
    both = plan(method="ridge", splits="1", set=parse_settings(("ridge.alpha=0.5,2",)))
    alone = [plan(method="ridge", splits="1", set={"ridge": {"alpha": value}})[0] for value in (0.5, 2)]
    assert [c.id for c in both] == [c.id for c in alone]


def test_a_run_shows_a_row_for_each_variant_with_its_values(zslbench, tmp_path):
    make_features()
    line = ("run", "--dataset", "hmdb51", "--features", "tiny", "--method", "ridge", "--splits", "1", "--no-track")
    line += ("--results", tmp_path / "results", "--set", "ridge.unit_features=true,false")
    code, out, err = zslbench(*line)
    assert code == 0
    assert "ridge (unit_features=true)" in out  # the defaults, which the leaderboard shows as ridge
    assert "ridge (unit_features=false)" in out
    assert "[2/2] ridge (unit_features=false) on hmdb51@tiny" in err
    code, out, _ = zslbench(*line, "--dry-run")
    assert out.count("keep") == 2


def test_a_verb_that_takes_one_model_refuses_variants(zslbench, tmp_path):
    make_features()
    code, _, err = zslbench(
        "embeddings", "export", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny",
        "--set", "ridge.alpha=1,2", "--results", tmp_path / "results", "--out", tmp_path / "x.kv",
    )  # fmt: skip
    assert (code, "--set makes 2 variants of ridge, but this verb takes one model." in err) == (2, True)


def test_lists_of_a_plugin_stay_whole_in_a_run():
    make_features()
    with mock.patch.object(METHODS, "get", return_value=Listing):
        cells = plan(method="listing", splits="1", set={"listing": {"layers": [1, 2], "rate": [1.0, 2.0]}})
    assert [(c.params["layers"], c.params["rate"]) for c in cells] == [([1, 2], 1.0), ([1, 2], 2.0)]
