"""Prompts: the names of classes, spelt as a table says, put into templates and encoded.

A template is text with ``{}`` in the place of the class, or the name of a published set of them. The vector of a class
is the mean of its prompts' unit vectors, scaled to unit length (Radford et al., ICML 2021, section 3.1.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import ZslbenchError, suggest
from zslbench.files import data_root, new_file, read_json, read_lines, reading
from zslbench.semantics.encoder import encode_like, encoder_of
from zslbench.semantics.words import unit

NO_TEMPLATE = "none"
_BLOCK = 2048  # texts that are encoded together
TextEncoder = Callable[[Sequence[str]], NDArray[np.floating[Any]]]  # texts -> (k, d) vectors


class TemplateSet(NamedTuple):
    """Published templates and where they come from.

    Examples
    --------
    >>> found = template_sets()["clip-ucf101"]
    >>> len(found.templates), found.templates[0]
    (48, 'a photo of a person {}.')
    """

    source: str
    templates: tuple[str, ...]


@cache
def template_sets() -> Mapping[str, TemplateSet]:
    """Return name -> published set of templates."""
    found = read_json(Path(__file__).with_name("templates.json"))
    return {name: TemplateSet(each["source"], tuple(each["templates"])) for name, each in found.items()}


def read_template(template: str) -> tuple[str, ...]:
    """Return the templates that a text stands for: those of a published set, ``none`` for the bare name, or itself.

    Raises
    ------
    ZslbenchError
        It is no set, and does not contain ``{}`` once.

    Examples
    --------
    >>> read_template("none"), read_template("a video of {}"), len(read_template("clip-kinetics"))
    (('{}',), ('a video of {}',), 28)
    """
    if template == NO_TEMPLATE:
        return ("{}",)
    if template in template_sets():
        return template_sets()[template].templates
    if template.count("{}") != 1:
        hint = suggest(template, [NO_TEMPLATE, *template_sets()])
        raise ZslbenchError(f"the template {template!r} is no set of templates, and must contain {{}} once.{hint}")
    return (template,)


def read_templates(path: Path) -> list[str]:
    """Return the prompt templates of a text file: one per line, with {} for the class; # starts a comment.

    Raises
    ------
    ZslbenchError
        There is no such file, no template, or one without {}.
    """
    lines = read_lines(path, "give a text file with one template per line")
    templates = [line for line in lines if line and not line.startswith("#")]
    if wrong := [line for line in templates if line.count("{}") != 1]:
        raise ZslbenchError(f"{path.name}: {wrong[0]!r} must contain {{}} once; write it where the class goes.")
    if not templates:
        raise ZslbenchError(f"{path.name} contains no template; write some, such as 'a video of a person {{}}.'")
    return templates


def prompt_texts(names: Sequence[str], template: str) -> list[tuple[str, ...]]:
    """Return the prompts of each class name, (n_names, n_templates).

    Examples
    --------
    >>> prompt_texts(["archery"], "a video of {}")
    [('a video of archery',)]
    """
    templates = read_template(template)
    return [tuple(each.replace("{}", name) for each in templates) for name in names]


def prompt_means(rows: Mapping[str, NDArray[Any]], texts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return one vector per class: the mean of its prompts' unit vectors, scaled to unit length, (n, d).

    Parameters
    ----------
    rows
        Prompt -> its vector.
    texts
        The prompts of each class.
    """
    return np.stack([unit(unit(np.array([rows[t] for t in own], dtype=np.float64)).mean(axis=0)) for own in texts])


def table_prompts(
    table: Path, dataset: Dataset, names: str, template: str
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Return class -> vector, and class -> fingerprint, of prompts in the space of a shipped table.

    All classes are encoded together, once: the vectors are kept in the data root. A fingerprint hashes the prompts and
    the checksum of the encoder, not the values, whose last bits depend on the machine.

    Raises
    ------
    NotFoundError
        The dataset has no such table of names.
    OutOfVocabularyError
        The encoder is not on this machine.
    ZslbenchError
        The template is none.
    """
    spelt = dataset.spelling(names)
    texts = prompt_texts(list(spelt.values()), template)
    vectors = prompt_means(encoded_texts(table, [text for own in texts for text in own]), texts)
    prints = [digest({"encoder": encoder_of(table), "prompts": own}) for own in texts]
    return dict(zip(spelt, vectors, strict=True)), dict(zip(spelt, prints, strict=True))


def encoded_texts(
    table: Path, texts: Sequence[str], progress: Callable[[int, int], object] = lambda done, total: None
) -> dict[str, NDArray[Any]]:
    """Return text -> its row in a shipped table, or else what its encoder gives; these rows are kept in the data root.

    Parameters
    ----------
    progress
        Function of the number of texts that are encoded, and of all.

    Raises
    ------
    OutOfVocabularyError
        The encoder is not on this machine.
    """
    with np.load(table, allow_pickle=False) as arrays:
        rows = dict(zip(arrays["phrases"].tolist(), arrays["vectors"], strict=True))
    if not set(texts) - rows.keys():
        return rows
    kept = data_root() / "semantics" / ".prompts" / f"{encoder_of(table)}.npz"
    rows = _kept(kept) | rows
    absent = list(dict.fromkeys(text for text in texts if text not in rows))
    for start in range(0, len(absent), _BLOCK):
        part = absent[start : start + _BLOCK]
        made = dict(zip(part, encode_like(table, part, instead="leave out names and template"), strict=True))
        rows |= made
        known = _kept(kept) | made  # another process may have encoded other texts
        with new_file(kept) as work, work.open("wb") as stream:
            np.savez(stream, texts=np.array(list(known)), vectors=np.array(list(known.values())))
        progress(start + len(part), len(absent))
    return rows


def _kept(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        return {}
    with reading(path, "delete it: it is made again"), np.load(path, allow_pickle=False) as arrays:
        return dict(zip(arrays["texts"].tolist(), arrays["vectors"], strict=True))
