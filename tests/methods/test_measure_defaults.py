"""``tools/measure_defaults.py`` and ``tools/held_out_seen.py``: what is asked, on which videos, and what is said."""

import importlib
from types import SimpleNamespace
from typing import Literal

import numpy as np
import pytest
from conftest import ROOT

from zslbench.method import Classes, SeenVideos
from zslbench.registry import get_method


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("measure_defaults"), importlib.import_module("held_out_seen")


def test_every_boolean_and_literal_is_a_category_and_numbers_are_not(tools):
    categories = tools[0].categories
    assert categories(bool) == (True, False)
    assert categories(Literal["a", "b"] | None) == ("a", "b", None)
    assert categories(float | None) == categories(str) == ()


def test_the_variants_of_a_method_are_all_other_values_one_at_a_time(tools):
    asked = {(v.parameter, v.value) for v in tools[0].variants("eszsl")}
    assert asked == {("", None), ("targets", "signed"), ("folds", 2), ("folds", 5)}


def test_all_methods_with_categories_are_asked_or_named_on_the_page(tools):
    page = (ROOT / "docs" / "methods" / "defaults.md").read_text(encoding="utf-8")
    for name in ("stacked-lstm", "single-lstm", "tzs", *tools[0].METHODS):
        assert f"`{name}`" in page
    from zslbench.registry import METHODS

    named = [m.name for m in METHODS if m.distribution == "zslbench" and f"`{m.name}`" not in page]
    for name in named:
        assert [v for v in tools[0].variants(name) if v.parameter] == []


def test_a_unit_holds_out_whole_classes_and_the_folds_hold_out_each_once(tools):
    labels = np.arange(40) % 10
    seen = SeenVideos.from_arrays(np.eye(10)[labels], labels=labels)
    classes = Classes(tuple("abcdefghij"), np.eye(10, dtype=np.float32))
    task = SimpleNamespace(train=seen, seen_classes=classes, split=SimpleNamespace(digest="x"))
    held_out = []
    for fold in range(3):
        unit = tools[1].unit_of(task, 3, fold)
        assert set(unit.classes.names) | set(unit.held_out.names) == set("abcdefghij")
        # A video is the unit vector of its class, as is the class vector.
        np.testing.assert_array_equal(unit.known.pooled(), unit.classes.vectors[unit.known.labels])
        np.testing.assert_array_equal(unit.tested.pooled(), unit.held_out.vectors[unit.labels])
        held_out += unit.held_out.names
    assert sorted(held_out) == list("abcdefghij")


def found(tools, right, names):
    return tools[1].Found({name: (value, 100) for name, value in zip(names, right, strict=True)}, 0.0, 1.0, {})


def test_a_difference_beyond_noise_is_told_from_one_within_it_and_from_none(tools):
    rng, names = np.random.default_rng(0), [f"c{i}" for i in range(40)]
    default = [found(tools, rng.integers(20, 60, 40).tolist(), names) for _ in range(4)]

    def judged(shift, noise):
        other = [
            found(tools, [r + shift + int(rng.normal(0, noise)) for r, _ in each.right.values()], names)
            for each in default
        ]
        row = tools[0].compared(other, default)
        variant = tools[0].Variant("eszsl", "targets", "signed")
        return tools[0].verdict(variant, {"captions": row}, {"captions": row.p < 0.05})

    assert judged(10, 3) == "**better** on captions"
    assert judged(-10, 3) == "the default is better on captions"
    assert judged(0, 30) == "within noise"
    assert judged(0, 0) == "no effect here"
    assert get_method("eszsl")().params.targets == "binary"
