"""Class vectors that an encoder of texts makes from class names, and their import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from zslbench.datasets.catalog import get_dataset
from zslbench.digests import digest
from zslbench.errors import ZslbenchError
from zslbench.semantics.class_tokens import TokenTable, no_tokens
from zslbench.semantics.importing import check_new_name, import_classes
from zslbench.semantics.prompts import read_template, read_templates
from zslbench.semantics.spec import PromptParams
from zslbench.semantics.store import SemanticsManifest
from zslbench.semantics.texts import SHIPPED, open_texts
from zslbench.tokens import TokenVectors


@dataclass(frozen=True)
class LocalEncoder:
    """An encoder of texts in a local folder.

    Attributes
    ----------
    title
        What it is, for the note of the import.
    weights
        Digest of its weights.
    templates
        The prompts that it uses by default.
    vectors_of
        Function of phrases and templates to (n_phrases, d): the mean over the templates, of unit length.
    notes
        Function that returns what is to be said of the texts that were encoded so far.
    tokens_of
        Function of phrases, a template and whether padding is kept, to the tokens of each phrase; ``None`` if it gives
        none.
    folder
        Where it is, if the user has not given that.

    Examples
    --------
    >>> import numpy as np
    >>> encoder = LocalEncoder("ones", "0", ("{}",), lambda phrases, templates: np.ones((len(phrases), 1)))
    >>> encoder.vectors_of(["run", "walk"], encoder.templates).shape
    (2, 1)
    """

    title: str
    weights: str
    templates: tuple[str, ...]
    vectors_of: Callable[[Sequence[str], Sequence[str]], NDArray[Any]]
    notes: Callable[[], Sequence[str]] = tuple
    tokens_of: Callable[[Sequence[str], str, bool], list[TokenVectors]] | None = None
    folder: Path | None = None


def import_encoded(
    name: str,
    folder: Path,
    dataset: str,
    encoder: LocalEncoder,
    templates: Sequence[str] = (),
    texts: str | None = None,
    names: str = "plain",
    tokens: bool = False,
) -> SemanticsManifest:
    """Import the class vectors that an encoder gives a dataset's class names, and return the manifest.

    The vectors of the words of the class names and of the class texts are stored with them, without a template.

    Parameters
    ----------
    name
        The name of the new source. A later call can add another dataset to it.
    folder
        Where the encoder is, for the manifest.
    dataset
        The dataset of the class names.
    templates
        Each is a published set of templates, ``none``, text with ``{}``, or the path of a file with one template per
        line. By default those of the encoder.
    texts
        Name of the class texts; by default the shipped ones, if the dataset has any.
    names
        The dataset's table of names (:attr:`zslbench.datasets.dataset.Dataset.spellings`).
    tokens
        Whether to store the token vectors too: of the class names in their prompt, and of the class texts as they are.

    Raises
    ------
    ZslbenchError
        The name is taken, or the templates cannot be used, or there are no tokens of one prompt.
    """
    check_new_name(name)
    found = get_dataset(dataset)
    prompts = tuple(text for given in templates for text in _templates(given)) or encoder.templates
    if tokens and len(prompts) != 1:
        raise ZslbenchError(
            f"--tokens keeps the tokens of one prompt, and there are {len(prompts)}; add one "
            f"--template, such as 'This is a video about {{}}'."
        )
    called_classes = list(found.spelling(names).values())
    vectors = encoder.vectors_of(called_classes, prompts)
    phrases = [found.phrase(each) for each in found.classes]
    chosen = texts or (SHIPPED if found.texts_file else None)
    said = [text for each in open_texts(chosen, found).values() for text in each.all] if chosen else []
    words = list(dict.fromkeys([*said, *(word for phrase in phrases for word in phrase.split())]))
    known = (words, encoder.vectors_of(words, ("{}",)))
    called = f"{len(prompts)} template{'s' * (len(prompts) > 1)} {digest(prompts)[:12]}"
    table = _tokens(encoder, found.classes, called_classes, prompts[0], list(dict.fromkeys(said))) if tokens else None
    stored = [f"tokens of {table.size}"] if table else []
    note = ", ".join(
        [encoder.title, f"weights {encoder.weights[:12]}", f"names {names}", called, *stored, *encoder.notes()]
    )
    one = templates[0] if len(templates) == 1 and not Path(templates[0]).is_file() else called
    prompt = PromptParams(names=names, template=one).prompt
    return import_classes(
        name, folder, {found.name: (list(found.classes), vectors)}, note, known, prompt, encoder.weights, table,
        str((encoder.folder or folder).absolute()),
    )  # fmt: skip


def _tokens(
    encoder: LocalEncoder, classes: Sequence[str], called: Sequence[str], template: str, texts: Sequence[str]
) -> TokenTable:
    """Return the tokens of the classes' names in their prompt, with padding, and of texts alone, without."""
    if encoder.tokens_of is None:
        raise no_tokens(encoder.title)
    of_names = encoder.tokens_of(called, template, True)
    of_texts = encoder.tokens_of(texts, "{}", False)
    return TokenTable(dict(zip(classes, of_names, strict=True)), dict(zip(texts, of_texts, strict=True)))


def check_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Refuse a tokenizer without a vocabulary: from a folder that lacks its files, transformers 5 makes an empty one.

    Raises
    ------
    ZslbenchError
        Two words have the same tokens.
    """
    first, second = tokenizer(["walk", "jump"])["input_ids"]
    if list(first) == list(second):
        names = sorted(set(getattr(tokenizer, "vocab_files_names", {}).values()))
        raise ZslbenchError(
            f"{folder} has no tokenizer that can distinguish words; copy its files from the model, such as "
            f"{', '.join(names) or 'tokenizer.json'}."
        )


def _templates(given: str) -> Sequence[str]:
    path = Path(given)
    return read_templates(path) if path.is_file() else read_template(given)
