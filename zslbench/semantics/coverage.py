"""Say when word vectors know no class of any dataset: they are of another language, or spelt in another way."""

from __future__ import annotations

import itertools

from zslbench.datasets.catalog import working_datasets
from zslbench.semantics.store import SemanticsManifest
from zslbench.semantics.words import WordVectors

_SHOWN = 3


def coverage_warning(manifest: SemanticsManifest) -> str:
    """Return a sentence if an imported source of words covers no class of any dataset, else an empty text.

    Every name-edit table counts. The words of all classes are looked up in one pass over the source's words.
    """
    if manifest.kind != "words" or manifest.subwords:
        return ""
    phrases = [
        phrase.split()
        for dataset in working_datasets()
        for table in dataset.phrases.values()
        for phrase in table.values()
    ]
    source = WordVectors(manifest)
    words = list(dict.fromkeys(itertools.chain.from_iterable(phrases)))
    found = source.find(words)
    if any(all(word in found for word in parts) for parts in phrases):
        return ""
    looked_up = ", ".join(map(repr, [word for word in words if word not in found][:_SHOWN]))
    return (
        f"{manifest.name} covers no class of any dataset: it lacks {looked_up} and others. Its own words begin with "
        f"{', '.join(map(repr, source.first(_SHOWN)))}; check its language and spelling."
    )
