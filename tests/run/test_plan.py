import pytest
from tiny import make_features, plan

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.features.simulated import simulate
from zslbench.run.experiment import make_experiment, parse_settings, read_experiment
from zslbench.run.plan import make_plan


def test_the_grid_is_every_combination_with_splits_outermost():
    make_features()
    make_features(name="other", seed=1)
    cells = plan(method=["ridge", "random"], features=["tiny", "other"], seed=[0, 1], splits="0:3")
    assert len(cells) == len({c.id for c in cells}) == 2 * 2 * 2 * 3
    assert [c.split for c in cells] == sorted(c.split for c in cells)


def test_repeated_splits_run_once_and_are_counted():
    make_features("ucf101", per_class=1)
    made = make_plan(make_experiment({"method": "random", "dataset": "ucf101", "features": "tiny", "splits": "all"}))
    assert len(made.cells) == 47
    assert sum(c.repeats for c in made.cells) == 50
    assert any("47 of them distinct" in notice for notice in made.notices)


def test_a_subset_of_classes_gets_its_own_random_family_and_a_sentence_for_others():
    make_features("ucf101", classes=["Archery", "Biking", "Bowling", "Diving", "Typing"])
    cells = plan(method="random", dataset="ucf101", splits="all")
    assert {c.family for c in cells} == {"random-50/50"}
    with pytest.raises(ZslbenchError, match="5 of 101 classes.*random-50/50"):
        plan(method="random", dataset="ucf101", family="xu-50/50")


def test_without_imported_features_the_simulated_ones_are_used_and_real_ones_take_their_place():
    settings = {"method": "random", "dataset": "olympicsports16", "splits": "1"}
    made = make_plan(make_experiment(settings), simulate=simulate)
    assert made.simulated
    assert made.cells[0].simulated
    make_features("olympicsports16", "real")
    made = make_plan(make_experiment(settings), simulate=simulate)
    assert not made.simulated
    assert made.cells[0].features == "real"
    make_features("olympicsports16", "real2")
    with pytest.raises(ZslbenchError, match="--features: real, real2"):
        make_plan(make_experiment(settings), simulate=simulate)


def test_a_toml_file_says_what_options_say(tmp_path):
    make_features()
    path = tmp_path / "experiment.toml"
    path.write_text('method = ["ridge"]\ndataset = "hmdb51"\nfeatures = "tiny"\nsplits = 2\n[set.ridge]\nalpha = 3.0\n')
    from_file = make_plan(make_experiment(read_experiment(path))).cells
    from_options = plan(method="ridge", set=parse_settings(("ridge.alpha=3.0",)))
    assert [c.id for c in from_file] == [c.id for c in from_options]
    assert from_file[0].params["alpha"] == 3.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "rigde"}, "Did you mean ridge"),
        ({"dataset": "hmbd"}, "Did you mean hmdb51"),
        ({"family": "xu50"}, "Did you mean"),
        ({"features": "c3d"}, "zslbench features import"),
        ({"semantics": "word2vec"}, "zslbench semantics import"),
        ({"set": {"ridge": {"alpah": 1}}}, "Did you mean alpha"),
        ({"set": {"ridge": {"alpha": "strong"}}}, "ridge.alpha.*valid number.*strong"),
        ({"set": {"pooled-krr": {"strength": 1}}}, "no method of this run"),
        ({"method": "pooled-krr", "set": {"pooled-krr": {"strength": -1}}}, "greater than 0"),
        ({"splits": "60"}, "0 to 49"),
        ({"splits": "few"}, "5, 0:10"),
        ({"protocol": "zsll"}, "protocol"),
    ],
)
def test_each_mistake_gets_one_sentence_with_its_remedy(change, sentence):
    make_features()
    with pytest.raises(ZslbenchError, match=sentence) as raised:
        plan(**{"method": "ridge"} | change)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["epochs=3", "action2vec.epochs", "=3", ".epochs=3"])
def test_settings_of_another_form_are_refused(text):
    with pytest.raises(ZslbenchError, match="METHOD.PARAMETER=VALUE"):
        parse_settings((text,))


@pytest.mark.parametrize(("given", "named"), [({"ridge": 3}, "set.ridge"), ([1], "set")])
def test_settings_that_are_no_table_are_refused_with_both_ways_to_write_them(given, named):
    with pytest.raises(ZslbenchError, match=rf"^{named} must be a table of parameters, not .*\[set.METHOD\]"):
        make_experiment({"method": "ridge", "dataset": "hmdb51", "set": given})


def test_settings_are_read_as_json_or_as_text():
    assert parse_settings(("a.x=20", "a.y=true", "a.z=rbf", "a:p.w=null", "a:p.v=none")) == {
        "a": {"x": 20, "y": True, "z": "rbf"},
        "a:p": {"w": None, "v": "none"},
    }


def test_a_choice_called_none_can_be_set_from_the_command_line():
    make_features()
    settings = parse_settings(("pooled-krr.laplacian=none", "pooled-krr.strength=null"))
    (cell,) = plan(method="pooled-krr", splits="1", set=settings)
    assert cell.params["laplacian"] == "none"
    assert cell.params["strength"] is None


@pytest.mark.parametrize("protocol", ["zsl", "gzsl"])
def test_a_split_with_one_unseen_class_is_refused_with_the_remedy(protocol):
    make_features(classes=get_dataset("hmdb51").classes[:15])
    settings = {"method": "random", "dataset": "hmdb51", "features": "tiny", "protocol": protocol, "splits": "3"}
    for family, refused in (("random-90/10", True), ("random-80/20", False)):
        experiment = make_experiment(settings | {"family": family})
        if not refused:
            assert len(make_plan(experiment).cells) == 3
            continue
        with pytest.raises(ZslbenchError, match=r"splits 0, 1, 2 have one unseen class.*choose a --family"):
            make_plan(experiment)
        assert make_plan(experiment, tested=False).cells  # a model that is not tested can be fitted


def test_only_the_chosen_splits_of_a_family_need_two_unseen_classes(data_root):
    names = get_dataset("hmdb51").classes
    splits = tuple(Split(names[n:], names[:n]) for n in (1, 2, 5))
    write_imported([SplitFamily("mixed", "hmdb51", splits, "test")])
    make_features()
    settings = {"method": "random", "dataset": "hmdb51", "features": "tiny", "family": "mixed"}
    assert [cell.split for cell in make_plan(make_experiment(settings | {"splits": "1:3"})).cells] == [1, 2]
    with pytest.raises(ZslbenchError, match="mixed: split 0 has one unseen class.*, or other --splits"):
        make_plan(make_experiment(settings | {"splits": "all"}))
