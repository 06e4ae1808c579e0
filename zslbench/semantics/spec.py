"""How a source of class vectors is named on the command line, and its parameters: ``NAME:key=value,...``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from zslbench.errors import ZslbenchError, validated

DEFAULT_EDITS = "e2e-v1"  # if a dataset has this table; otherwise ``plain``


class TableParams(BaseModel):
    """Parameters of a source that has finished class vectors.

    Attributes
    ----------
    normalise
        Whether to scale class vectors to unit length.

    Examples
    --------
    >>> TableParams(normalise="false").normalise
    False
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    normalise: bool = True


class WordParams(TableParams):
    """Parameters of a source of word vectors.

    Attributes
    ----------
    pool
        Whether a class vector is the mean or the sum of its words' vectors.
    unit_words
        Whether to scale word vectors to unit length before pooling.
    edits
        The dataset's name-edit table, which gives the words of each class.

    Examples
    --------
    >>> WordParams(pool="sum").model_dump()
    {'normalise': True, 'pool': 'sum', 'unit_words': True, 'edits': 'plain'}
    """

    pool: Literal["mean", "sum"] = "mean"
    unit_words: bool = True
    edits: str = "plain"


class SubwordParams(WordParams):
    """Parameters of word vectors that come with vectors of parts of words (fastText's ``.bin``).

    Attributes
    ----------
    subwords
        Whether an unknown word has the mean of the vectors of its parts.

    Examples
    --------
    >>> SubwordParams(subwords="no").subwords
    False
    """

    subwords: bool = True


class PromptParams(TableParams):
    """Parameters of a source whose encoder can read any text.

    Attributes
    ----------
    names
        The dataset's table of names (:attr:`zslbench.datasets.dataset.Dataset.spellings`).
    template
        ``none`` for the bare name, text with ``{}`` in the place of the class, or a published set of templates
        (:func:`zslbench.semantics.prompts.template_sets`).

    Examples
    --------
    >>> PromptParams(names="clip", template="a video of {}").prompt
    'names=clip,template=a video of {}'
    """

    names: str = "plain"
    template: str = "none"

    @property
    def prompt(self) -> str:
        """``names=clip,template=clip-ucf101``, as a source's name takes it."""
        return f"names={self.names},template={self.template}"


def parse_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Return the source's name and the parameters, as text, of ``NAME:key=value,...``.

    A comma that no ``key=`` follows belongs to the value, as in ``template={}, an action``.

    Raises
    ------
    ZslbenchError
        A part is not ``key=value``, or a key is given twice.
    """
    name, _, rest = spec.partition(":")
    given: dict[str, str] = {}
    for part in filter(None, (text.strip() for text in re.split(r",(?=\s*\w+\s*=|\s*$)", rest))):
        key, equals, value = (text.strip() for text in part.partition("="))
        if not equals or key in given:
            problem = "is given twice" if key in given else "is not key=value"
            raise ZslbenchError(f"{part!r} in {spec!r} {problem}; write for example {name}:pool=sum,normalise=false.")
        given[key] = value
    return name.strip(), given


def source_parameters(name: str, model: type[TableParams], given: Mapping[str, str]) -> TableParams:
    """Return the validated parameters of the source ``name``.

    Raises
    ------
    ZslbenchError
        A parameter is unknown, does not apply to this kind of source, or has a wrong value.
    """
    for key in given:
        if key not in model.model_fields and key in WordParams.model_fields | PromptParams.model_fields:
            has = "word vectors" if model is WordParams else "finished class vectors"
            raise ZslbenchError(f"{key} does not apply to {name}, which has {has}; leave it out.")
    return validated(model, given, name)
