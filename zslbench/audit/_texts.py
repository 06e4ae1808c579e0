"""Findings about class texts that contain the names of other classes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from zslbench.audit.findings import Finding
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.semantics.stems import STOP_WORDS, stem
from zslbench.semantics.texts import SHIPPED, Texts, author_of_texts, imported_texts, open_texts

USUAL_SHARE = 0.2  # of classes whose texts contain another class's name of several words; at most 0.10 in six real sets
_DERIVED = re.compile(r"(?:minilm|(.+))-(?:definition|attributes|name-attributes)")
_SHOWN = 90  # characters of a text


def texts_behind(spec: str, dataset: Dataset) -> str | None:
    """Return the name of the class texts that class vectors were made from, if it tells."""
    match = _DERIVED.fullmatch(spec.partition(":")[0])
    if match is None:
        return None
    name = match[1] or SHIPPED
    return name if name in (SHIPPED, *imported_texts(dataset.name)) else None


def check_texts(dataset: Dataset, name: str, unseen: frozenset[str]) -> Iterator[Finding]:
    """Yield W17 or N5 if the texts of a class contain the name of an unseen class.

    Parameters
    ----------
    name
        The class texts.
    unseen
        The classes that are unseen in any split.
    """
    try:
        texts = open_texts(name, dataset)
    except ZslbenchError:
        return
    found = named_classes(dataset, texts, unseen)
    if not found:
        return
    clear = {owner for owner, _, _, several in found if several}
    words = len({owner for owner, _, _, several in found if not several} - clear)
    summary = (
        f"texts of {len(clear)} of {len(texts)} classes contain an unseen class's name of several words, of {words} "
        f"more one of a single word, which may have another sense"
    )
    lines = [f"{owner} contains {other}: {_short(text)}" for owner, other, text, _ in found]
    code = "W17" if len(clear) > max(1, USUAL_SHARE * len(texts)) else "N5"
    classes = tuple(dict.fromkeys(other for _, other, _, _ in found))
    yield Finding(code, f"{dataset.name}, class texts {name}", (summary, *lines), classes)


def check_author(dataset: Dataset, name: str) -> Iterator[Finding]:
    """Yield W21 if a language model wrote the class texts."""
    if name == SHIPPED:
        who = "written for zslbench by a language model; which one, and its prompt, are not recorded (docs/texts.md)"
        yield Finding("W21", f"{dataset.name}, class texts {name}", (who,))
        return
    try:
        author = author_of_texts(name, dataset)
    except ZslbenchError:
        return
    if author:
        of = ", ".join(filter(None, [author.revision[:12], author.weights[:12], author.address]))
        who = f"written by {author.model}{f' ({of})' if of else ''} on {author.created}"
        yield Finding("W21", f"{dataset.name}, class texts {name}", (who, f"it was asked: {_short(author.prompt)}"))


def named_classes(
    dataset: Dataset, texts: Mapping[str, Texts], unseen: frozenset[str]
) -> list[tuple[str, str, str, bool]]:
    """Return class, the other class that its texts name, the text, and whether the name has several words.

    Names are compared word for word, never within a word. Endings do not count, except in names of one word that end
    in ``-ing``: a ``fence`` is no ``fencing``. A class may name another whose words are all in its own name
    (``WalkingWithDog``, ``walk``). Names of several words come first.
    """
    names: dict[tuple[str, ...], set[str]] = defaultdict(set)
    own = {}
    for each in dataset.classes:
        words = _words(dataset.phrase(each))
        own[each] = set(map(stem, words))
        if each in unseen:
            names[_key(words)].add(each)
            names[(each.casefold(),)].add(each)  # as it is written: ApplyEyeMakeup
    longest = max((len(key) for key in names), default=0)
    found = []
    for each, described in texts.items():
        mine = set()
        for text in described.all:
            words = _words(text)
            for size in range(1, longest + 1):
                for start in range(len(words) - size + 1):
                    part = words[start : start + size]
                    named = names.get(tuple(map(stem, part)), set()) | names.get(tuple(part), set())
                    for other in sorted(named):
                        if other != each and other not in mine and not own[other] <= own[each]:
                            mine.add(other)
                            found.append((each, other, text, len(own[other]) > 1))
    return sorted(found, key=lambda each: not each[-1])


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.casefold().replace("'s", "")) if word not in STOP_WORDS]


def _key(words: list[str]) -> tuple[str, ...]:
    """Return what is compared: stems, or the whole word if it is the only one and ends in -ing."""
    if len(words) == 1 and words[0].endswith("ing"):
        return (words[0],)
    return tuple(map(stem, words))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3].rstrip() + "..."
