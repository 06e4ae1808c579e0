"""The words of classes of a user's dataset: how to change them, and the commands that do so."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from zslbench.datasets.catalog import DatasetFile, dataset_path, read_dataset, read_file, user_names
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError

BLANK = "..."  # stands for words in a printed command; refused as words


def with_words(name: str, given: Sequence[str]) -> DatasetFile:
    """Return a user's dataset with other words for some classes.

    Parameters
    ----------
    name
        The dataset's name.
    given
        ``CLASS=WORDS`` each; classes may be spelt in any way that the dataset resolves.

    Raises
    ------
    NotFoundError
        The user has no dataset of that name.
    ZslbenchError
        A text is not ``CLASS=WORDS``, or its class or words are wrong.
    """
    dataset = read_dataset(name)
    words: dict[str, str] = {}
    for text in given:
        # Names may contain '=', words hardly do.
        spelt, equals, phrase = (part.strip() for part in text.rpartition("="))
        if not equals or not any(map(str.isalnum, phrase)):
            raise ZslbenchError(f'{text!r} is not CLASS=WORDS; write for example "{dataset.classes[0]}=open a door".')
        words[dataset.resolve_class(spelt)] = phrase
    stored = read_file(dataset_path(name), name)
    return stored.model_copy(update={"phrases": stored.phrases | words})


def words_command(name: str, words: Mapping[str, str] | None = None) -> str:
    """Return the command that gives classes of a user's dataset other words.

    >>> words_command("mine", {"sit_to_stand": "stand up"})
    "zslbench datasets words mine 'sit_to_stand=stand up'"
    """
    pairs = (shlex.quote(f"{each}={phrase}") for each, phrase in (words or {}).items())
    return " ".join(["zslbench datasets words", name, *pairs])


def words_remedy(dataset: Dataset, words: Mapping[str, str]) -> str:
    """Return how to give classes other words, such as these, if the dataset is the user's; otherwise an empty text."""
    if dataset.name not in user_names():
        return ""
    return f"give other words, as by {words_command(dataset.name, words)} (or under [phrases] in its file)"


def words_apart(dataset: Dataset, equal: Mapping[str, str]) -> dict[str, str]:
    """Return class -> other words for it, if another class has an equal vector.

    It is the last word, if both phrases have the same words in another order, and :data:`BLANK` otherwise.

    Parameters
    ----------
    equal
        Class -> another one of equal vector.
    """
    taken, found = set(dataset.phrases["plain"].values()), {}
    for name, other in equal.items():
        words = dataset.phrase(name).split()
        reordered = sorted(words) == sorted(dataset.phrase(other).split())
        found[name] = words[-1] if reordered and words[-1] not in taken else BLANK
    return found
