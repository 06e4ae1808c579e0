"""Findings about how class names are spelt for an encoder, and about several prompts that were tried on the test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from zslbench.audit._rows import SETTINGS, Pair
from zslbench.audit.findings import Finding
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset, spaced_name
from zslbench.errors import ZslbenchError
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import read_semantics_manifest
from zslbench.semantics.texts import Texts, open_texts


def check_spelling(dataset: str, spec: str) -> Iterator[Finding]:
    """Yield W18 if class vectors were made from names of several words that are written as one."""
    try:
        found = get_dataset(dataset)
        spelt = found.spelling(_names_of(spec, found))
    except ZslbenchError:
        return
    joined = {name: text for name, text in spelt.items() if spaced_name(text) != text}
    if joined:
        example = next(iter(joined.values()))
        summary = f"{len(joined)} of {len(spelt)} class names are not split into words, such as {example}"
        yield Finding("W18", f"{dataset}, class vectors {spec}", (summary,), tuple(joined))


def check_texts_spelling(dataset: Dataset, texts: str) -> Iterator[Finding]:
    """Yield W18 if class texts contain class names of several words that are written as one."""
    try:
        described = open_texts(texts, dataset)
    except ZslbenchError:
        return
    if found := _joined_in(dataset, described):
        lines = [f"{owner}: {text}" for owner, text in found.items()]
        summary = f"texts of {len(found)} of {len(described)} classes have class names that are not split into words"
        yield Finding("W18", f"{dataset.name}, class texts {texts}", (summary, *lines), tuple(found))


def check_prompts(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield W13 for each method that was measured with three or more prompts of one source of class vectors."""
    tried: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(dict)
    for row, records in pairs:
        cell = records[0].cell
        source, given = parse_spec(cell.semantics)
        prompt = f"names={given.get('names', 'plain')},template={given.get('template', 'none')}"
        where = (row.method, row.table.dataset, row.table.features, row.table.protocol, row.table.family, source)
        tried[where].setdefault(prompt, []).append(row.name)
    for (method, dataset, features, *_, source), prompts in tried.items():
        if len(prompts) >= SETTINGS:
            names = tuple(dict.fromkeys(name for rows in prompts.values() for name in rows))
            yield Finding(
                "W13", f"{method} on {dataset}@{features}, prompts of {source}", (f"{len(prompts)} prompts", *prompts),
                rows=names, remedy="report all of them, as 'zslbench prompts' does: to choose the best one by these "
                "figures is an oracle.",
            )  # fmt: skip


def _names_of(spec: str, dataset: Dataset) -> str:
    """Return the table of names that class vectors are made from: as the source's name says, or its import recorded."""
    source, given = parse_spec(spec)
    if source in dataset.vectors:
        return given.get("names", "plain")
    manifest = read_semantics_manifest(source)
    return given.get("edits") or parse_spec(f":{manifest.prompts.get(dataset.name, '')}")[1].get("names", "plain")


def _joined_in(dataset: Dataset, described: Mapping[str, Texts]) -> dict[str, str]:
    """Return class -> its first text with an official name that is not split into words."""
    official = {name for name in dataset.classes if spaced_name(name) != name}
    found: dict[str, str] = {}
    for owner, texts in described.items():
        for text in texts.all:
            if official & set(text.replace(",", " ").replace(".", " ").split()):
                found.setdefault(owner, text)
    return found
