"""Methods say in one sentence that they cannot run in a protocol, or on features."""

import warnings

import pytest

from zslbench.errors import ZslbenchError
from zslbench.method import Method, MethodInfo
from zslbench.registry import METHODS, get_method
from zslbench.run.fitness import why_apart, why_unfit

ALL = ("zsl", "gzsl", "base-to-novel", "few-shot", "supervised")


@pytest.mark.parametrize(
    ("name", "params", "refused"),
    [
        ("ridge", {}, ()),
        ("tip-adapter", {}, ()),
        ("clip-adapter", {}, ()),
        ("nearest-text", {}, ()),
        ("ridge+nrm", {}, ()),
        ("f-clswgan", {}, ()),
        ("linear-probe", {}, ALL[:3]),
        ("nearest-class-mean", {}, ALL[:3]),
        ("nearest-class-mean+nrm", {}, ALL[:3]),
        ("coco", {}, ALL[3:]),
        ("coco", {"cycle_weight": 0.0}, ()),  # nothing of it looks at unseen names then
        ("uda", {}, ALL[3:]),
        ("mte", {"weights": "names"}, ALL[3:]),
        ("mte", {}, ()),
    ],
)
def test_who_is_refused_where(name, params, refused):
    said = {protocol: why_unfit(get_method(name)(params), protocol) for protocol in ALL}
    assert tuple(protocol for protocol, sentence in said.items() if sentence) == refused
    for protocol in refused:
        assert said[protocol].startswith(name)
        assert protocol in said[protocol]
        assert "use --protocol" in said[protocol]


JOINT = [
    "bike", "clip-adapter", "clip-zero-shot", "coop", "nearest-text", "sti", "text4vis", "tip-adapter",
    "tip-adapter-f",
]  # fmt: skip


def test_methods_that_compare_features_with_class_vectors_refuse_different_numbers_of_values():
    with warnings.catch_warnings(action="error"):
        said = {name: why_apart(METHODS.get(name)(), 64, 32) for name in METHODS.names()}
    assert sorted(name for name, sentence in said.items() if sentence) == JOINT
    assert all("features have 64 values and class vectors 32; choose" in said[name] for name in JOINT)
    assert [why_apart(METHODS.get(name)(), 32, 32) for name in JOINT] == [None] * len(JOINT)


def test_parameters_and_steps_decide_with_the_method():
    refused = [("coco", {"space": "joint"}), ("nearest-text+nrm", {}), ("nearest-text+csls+nrm", {})]
    assert all(why_apart(get_method(name)(params), 64, 32) for name, params in refused)
    assert why_apart(get_method("sti")({"space": "learnt"}), 64, 32) is None


class Untrained(Method):
    info = MethodInfo(name="untrained", summary="It may do what it wants.")
    error = None

    @property
    def trains(self):
        return False

    def fit(self, seen, classes, target, report):
        if self.error:
            raise self.error

    def score(self, videos, classes):
        return videos.pooled() @ classes.vectors.T


@pytest.mark.parametrize("error", [None, ValueError("a bug"), ZslbenchError("there is no video; give some.")])
def test_a_method_that_does_not_object_to_the_numbers_of_values_runs(error):
    method = type("Mine", (Untrained,), {"error": error})()
    assert why_apart(method, 64, 32) is None


def test_run_refuses_such_a_method_before_any_cell_runs(zslbench, tmp_path):
    args = ["--method", "ridge", "--method", "nearest-text", "--dataset", "hmdb51", "--results", tmp_path / "runs"]
    code, _, err = zslbench("run", *args)
    assert code == 2
    assert err.startswith("zslbench: nearest-text compares features with class vectors of one space")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
