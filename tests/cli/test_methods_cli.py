"""``zslbench methods NAME``: what a user needs to know before setting a parameter."""

from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from zslbench.cli import _method
from zslbench.cli._method import explained, show_method
from zslbench.method import Budget, Method, MethodInfo, MethodParams
from zslbench.ranges import Range
from zslbench.registry import METHODS, STEPS, get_method

BUILT_IN = [each.plugin for each in (*METHODS, *STEPS) if each.distribution.startswith("zslbench ")]


class Mine(Method):
    info = MethodInfo(name="mine", summary="My idea.", budget=frozenset({Budget.CLASS_TEXTS, Budget.ORACLE}))
    presets: ClassVar = {"small": {"size": 8, "rate": 0.5}, "plain": {}}

    class Params(MethodParams):
        """What my idea needs.

        Attributes
        ----------
        size, width : int
            How large
            it is: ``None`` of :class:`~zslbench.Method` counts.
        """

        size: int = Field(64, ge=1)
        width: int | None = None
        rate: Annotated[float, Range(0.1, 1)] = Field(0.5, gt=0, description="How fast it is.")
        kind: str = "a"
        steps: list[int]

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return videos.pooled() @ classes.vectors.T


def shown(method, capsys):
    show_method(method)
    return capsys.readouterr().out


@pytest.mark.parametrize("plugin", BUILT_IN, ids=lambda plugin: plugin.info.name)
def test_every_parameter_of_a_built_in_plugin_is_explained(plugin):
    assert set(plugin.Params.model_fields) - set(explained(plugin.Params)) == set()
    assert not {text for text in explained(plugin.Params).values() if "`" in text}


def test_a_method_is_shown_in_80_columns(capsys):
    for name in [*METHODS.names(), "ridge+nrm", "action2vec+self-training+csls"]:
        assert max(map(len, shown(get_method(name), capsys).splitlines())) <= 80, name


def test_a_parameter_is_shown_with_limits_choices_default_search_and_explanation(capsys):
    out = shown(get_method("mte+self-training"), capsys)
    assert "  strength: a number > 0 or null; default null; tune searches 0.0001 to 0.1, log\n      lambda; null" in out
    assert "  mapping: latent or words or rmtl or stl; default latent; searched by tune\n      latent: the m" in out
    assert "Parameters (--set self-training.PARAMETER=VALUE):\n  neighbours: a whole number >= 1; default 100" in out


def test_presets_are_shown_as_differences_from_the_defaults(capsys):
    method = get_method("action2vec")
    said = " ".join(shown(method, capsys).split()).partition("Presets, as differences from the defaults:")[2]
    paper = said.partition("action2vec:paper: ")[2].partition(" action2vec:no-attention")[0].split(", ")
    assert len(paper) < len(method.presets["paper"])
    assert "batch_size=64" in paper
    assert "mask_padding=false" in paper  # as --set takes it
    assert "seg_len=6" not in paper  # the default


def test_a_plugin_with_and_without_explanations_is_shown(capsys):
    with METHODS.offering({"mine": Mine}):
        out = shown(Mine, capsys)
    assert (
        out
        == """\
mine (version 1): My idea.
Reads the mean feature of each video (pooled).
What it may see, besides the labelled videos of the seen classes if it trains:
  * descriptions of these classes (class-texts)
  * labels of the test, so its figures are an upper bound and no result (oracle)

Parameters (--set mine.PARAMETER=VALUE):
  size: a whole number >= 1; default 64
  width: a whole number or null; default null
      How large it is: null of Method counts.
  rate: a number > 0; default 0.5; tune searches 0.1 to 1
      How fast it is.
  kind: a text; default a
  steps: list[int]; required

Presets, as differences from the defaults:
  mine:small: size=8
  mine:plain: none
"""
    )


def test_every_kind_of_information_has_words():
    assert set(_method._SEES) == set(Budget)
