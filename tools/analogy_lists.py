"""The verb groups of the vector-arithmetic test, matched with class names, for ``build_datasets.py``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from zslbench.semantic_tests.analogies import without_function_words

PAPER = "Hahn, Silva, Rehg. Action2Vec. arXiv:1901.00484, section 4.2.2 and table 4. "
UNPUBLISHED = "The authors published no list. "

# Dataset -> list -> key in the facts, ordered pairs, note. The first list of a dataset is the default.
LISTS = {
    "ucf101": {
        "two-word-80": (
            "UCF101_two_word_shared_first_word_80",
            80,
            "Names of two words that share the first: 80 ordered pairs. The paper counts 90 comparisons and reports "
            "0.9875, which is 79/80 and no k/90; this list is the simplest that explains the figure.",
        ),
        "any-position-90a": (
            "UCF101_decomposition_A_90",
            90,
            "One of at least two hand-made readings with the paper's 90 ordered pairs; the verb stands anywhere in the "
            "name.",
        ),
        "any-position-90b": (
            "UCF101_decomposition_B_90",
            90,
            "The other of at least two hand-made readings with the paper's 90 ordered pairs.",
        ),
    },
    "kinetics400": {
        "one-noun-1540": (
            "K400_any_position_verb_single_noun_1540",
            1540,
            "Articles and parentheses dropped, the verb (as a lemma) anywhere in the name, exactly one other word: the "
            "paper's 1540 ordered pairs, perhaps by coincidence, for 'throw' has 5 classes here and 8 in the paper. A "
            "rule of word forms, so 'shot put' is in the group of shooting and 'swing dancing' in two groups.",
        ),
        "first-word-1720": (
            "K400_shared_first_word_1720",
            1720,
            "Names that share the first word, whatever follows: 1720 ordered pairs. The first word is not always a "
            "verb (golf, high, ice, rock, water).",
        ),
    },
}
NOUNS = (
    " Nouns are the rest of the name in lower case without parentheses and their content (which is kept where nothing "
    "or an equal noun would be left), articles, 'or' and prepositions: 'or throwing baseball' is 'throwing baseball'."
)
_ARTICLES = {"a", "an", "the"}


def analogies(dataset: str, classes: list[str], facts: dict[str, Any], form: Form) -> dict[str, Any]:
    """Return the lists of a dataset, list -> verb -> noun -> class name, and their sources.

    Raises
    ------
    SystemExit
        A noun has no class or two, or a list has another number of pairs than its note says.
    """
    found, sources = {}, {}
    for name, (key, pairs, note) in LISTS.get(dataset, {}).items():
        found[name] = {verb: _group(verb, nouns, classes, form) for verb, nouns in facts[key].items()}
        sources[name] = PAPER + UNPUBLISHED + note + NOUNS
        if pairs != (n := sum(len(group) * (len(group) - 1) for group in found[name].values())):
            raise SystemExit(f"refused: {dataset} {name} has {n} pairs, not {pairs}")
    return {"analogies": found, "analogy_sources": sources} if found else {}


class Form:
    """The form in which names are compared: as bags of lemmas, with or without the text in parentheses."""

    def __init__(self, plain: Callable[[str], str], lemma: Callable[[str], str]) -> None:
        self.plain, self.lemma = plain, lemma

    def bag(self, text: str) -> Counter[str]:
        """Return the lemmas of a text without articles."""
        return Counter(self.lemma(word) for word in self.plain(text).split() if word not in _ARTICLES)

    def noun(self, text: str, *, inner: bool) -> str:
        """Return a noun as words to look up, with or without the text in parentheses."""
        return without_function_words(self.plain(text if inner else outer(text)))


def outer(text: str) -> str:
    """Return a text without parentheses and their content.

    >>> outer("petting animal (not cat)")
    'petting animal '
    """
    return re.sub(r"\(.*?\)", "", text)


def _group(verb: str, nouns: list[str], classes: list[str], form: Form) -> dict[str, str]:
    """Return noun -> class name."""
    short = Counter(form.noun(noun, inner=False) for noun in nouns)
    group = {}
    for noun in nouns:
        words = form.noun(noun, inner=False)
        words = words if words and short[words] == 1 else form.noun(noun, inner=True)
        group[words] = _class(verb, noun, classes, form)
    return group


def _class(verb: str, noun: str, classes: list[str], form: Form) -> str:
    """Return the only class whose name has the words of verb and noun, in any order."""
    wanted = form.bag(f"{verb} {noun}")
    found = [c for c in classes if form.bag(c) == wanted] or [c for c in classes if form.bag(outer(c)) == wanted]
    if len(found) != 1:
        raise SystemExit(f"refused: {verb} + {noun} fits {found or 'no class'}")
    return found[0]
