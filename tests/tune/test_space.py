"""What a search may change: what is declared or listed, and never the information budget."""

from typing import Annotated, Literal
from unittest import mock

import pytest
from pydantic import Field

from zslbench.errors import ZslbenchError
from zslbench.method import Budget, Method, MethodInfo, MethodParams
from zslbench.ranges import Choices, Range, declared
from zslbench.registry import METHODS
from zslbench.run.experiment import parse_settings
from zslbench.tune.space import Axis, Space


class Searched(Method):
    info = MethodInfo(name="searched", summary="Declares what can be searched.")
    presets = {"small": {"hidden": 8}}  # noqa: RUF012

    class Params(MethodParams):
        strength: Annotated[float | None, Range(1e-3, 1e3, log=True)] = Field(None, gt=0)
        neighbours: Annotated[int, Range(1, 20)] = 10
        hidden: Annotated[int, Choices(8, 16)] = 16
        kernel: Literal["rbf", "linear"] = "rbf"
        peek: bool = False
        device: Annotated[Literal["auto", "cpu"], Choices()] = "auto"
        note: str = ""

    @property
    def budget(self):
        return self.info.budget | ({Budget.UNSEEN_VIDEOS} if self.params.peek else set())

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return videos.pooled()[:, :1] @ classes.vectors[:, :1].T


@pytest.fixture(autouse=True)
def plugin():
    get = METHODS.get
    with mock.patch.object(METHODS, "get", side_effect=lambda name: Searched if name == "searched" else get(name)):
        yield


class LowestValues:
    """A trial that takes the first of everything, a bit above."""

    def suggest_float(self, name, low, high, *, log):
        return low * 1.23456789

    def suggest_int(self, name, low, high, *, log):
        return low

    def suggest_categorical(self, name, choices):
        return choices[0]


def space(label="searched", *settings):
    return Space.of(label, parse_settings(settings))


def test_ranges_literals_and_bools_are_searched_and_other_parameters_are_not():
    assert [axis.key.partition(".")[2] for axis in space().axes] == ["strength", "neighbours", "hidden", "kernel"]
    assert list(declared(Searched.Params)) == ["strength", "neighbours", "hidden", "kernel", "peek"]


def test_a_choice_that_needs_a_wider_budget_is_left_out_and_named():
    (notice,) = space().notices
    assert notice.startswith("searched.peek=true is not searched, since it needs the budget unseen-videos")


def test_a_wider_budget_that_is_set_is_searched_with():
    found = space("searched", "searched.peek=true")
    assert not found.notices
    assert found.params({}).peek


def test_a_combination_that_widens_the_budget_is_refused():
    with pytest.raises(ZslbenchError, match="needs the budget unseen-videos"):
        space().params({"searched.peek": True})


def test_a_set_value_is_kept_and_several_values_are_searched():
    found = space("searched", "searched.kernel=linear", "searched.neighbours=3,5", "searched.note=x")
    assert {axis.key: axis.values for axis in found.axes}["searched.neighbours"] == Choices(3, 5)
    assert "searched.kernel" not in {axis.key for axis in found.axes}
    assert found.params({"searched.neighbours": 3}).model_dump(include={"kernel", "neighbours", "note"}) == {
        "kernel": "linear", "neighbours": 3, "note": "x",
    }  # fmt: skip
    assert found.settings({"searched.neighbours": 3}) == [
        "searched.kernel=linear", "searched.note=x", "searched.neighbours=3",
    ]  # fmt: skip


def test_what_a_preset_sets_stays():
    assert "searched.hidden" not in {axis.key for axis in space("searched:small").axes}
    assert space("searched:small").params({}).hidden == 8


def test_parameters_of_steps_are_searched_under_their_name():
    found = space("searched+self-training", "self-training.neighbours=5,9")
    assert "self-training.neighbours" in {axis.key for axis in found.axes}
    assert found.params({"self-training.neighbours": 9}).self_training.neighbours == 9


def test_numbers_have_three_digits_so_that_the_printed_command_runs_what_was_tried():
    axis = Axis("searched", "strength", Range(1e-3, 1e3, log=True))
    assert axis.suggest(LowestValues()) == 0.00123
    assert [axis.suggest(LowestValues()) for axis in space().axes] == [0.00123, 1, 8, "rbf"]


@pytest.mark.parametrize(("low", "high"), [(0.12345, 0.9), (0.1, 0.12351)])
def test_a_rounded_number_stays_in_its_range(low, high):
    trial = mock.Mock(suggest_float=lambda name, low, high, *, log: low if low > 0.12 else high)
    assert Axis("searched", "strength", Range(low, high)).suggest(trial) in (low, high)


@pytest.mark.parametrize(
    ("label", "settings", "sentence"),
    [
        ("random", (), "random has nothing to search; give several values, as in --set random.PARAMETER"),
        ("searched", ("searched.kernel=rbf,rbg",), "searched.kernel: .*'rbf' or 'linear'"),
        ("searched", ("searched.strength=-1",), r"searched.strength: .*greater than 0.*takes a number > 0 or null"),
        ("searched", ("searched.strength=1,2,1",), "--set searched.strength has a value twice; leave one"),
        ("searched:big", (), "has no preset 'big'"),
        ("serched", (), "no method is called"),
    ],
)
def test_a_mistake_gets_one_sentence(label, settings, sentence):
    with pytest.raises(ZslbenchError, match=sentence):
        space(label, *settings)


@pytest.mark.parametrize(("low", "high", "log"), [(2, 1, False), (1, 1, False), (0, 1, True), (1, float("inf"), False)])
def test_a_range_that_is_none_is_refused(low, high, log):
    with pytest.raises(ValueError, match="range"):
        Range(low, high, log=log)
