"""What to cite for results: datasets, split families, class vectors, methods, and what the features came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from zslbench.cells.cell import Cell
from zslbench.datasets.catalog import dataset_name, dataset_names, get_dataset
from zslbench.datasets.label_sets import is_unknown
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.ensemble import ENSEMBLE_CITATION
from zslbench.features.feature_set import Manifest
from zslbench.files import read_json
from zslbench.registry import METHODS, STEPS, parse_label
from zslbench.semantics.spec import parse_spec
from zslbench.tables.bibtex import Reference, references_of
from zslbench.version import __version__

_PAPER = re.compile(r"(.+?\b(?:19|20)\d\d)\b(?:: .*)?")  # of a family's source: the paper, and where its files lie


class Cited(NamedTuple):
    """One thing that results rest on, and its references, if any is known.

    Attributes
    ----------
    what
        Such as ``method ridge``.
    where
        What is known of its origin without a reference.

    Examples
    --------
    >>> [each.key for each in cite_names(["hmdb51"])[0].references]
    ['kuehne2011hmdb']
    """

    what: str
    references: Sequence[Reference]
    where: str = ""


def cite_cells(cells: Iterable[Cell]) -> list[Cited]:
    """Return what cells rest on, each once."""
    return list({each.what: each for each in _of_cells(list(cells))}.values())


def cite_names(names: Iterable[str]) -> list[Cited]:
    """Return the references of methods (with steps and presets), datasets and backbones, by name.

    Raises
    ------
    NotFoundError
        Nothing has the name; the message suggests the nearest.
    """
    from zslbench.video.backbone import BACKBONES

    found: list[Cited] = []
    for text in names:
        own, *steps = parse_label(text)[0].split("+")
        if own in METHODS.names():
            if unknown := [step for step in steps if step not in STEPS.names()]:
                raise NotFoundError(f"no step is called {unknown[0]!r}.{suggest(unknown[0], STEPS.names())}")
            found += _method(parse_label(text)[0])
        elif dataset_name(text) in dataset_names():
            found.append(_dataset(dataset_name(text)))
        elif text in BACKBONES.names():
            found.append(_backbone(text))
        else:
            known = [*METHODS.names(), *dataset_names(), *BACKBONES.names()]
            raise NotFoundError(f"no method, dataset or backbone is called {text!r}.{suggest(text, known)}")
    return list({each.what: each for each in found}.values())


def bibliography(cited: Iterable[Cited]) -> str:
    """Return BibTeX: each reference once, below comments with what needs it, and what no reference is known for.

    Examples
    --------
    >>> print(bibliography(cite_names(["random"])))
    % zslbench 0.2.0
    @misc{zslbench,
      author = {{The zslbench authors}},
      title = {{zslbench: the benchmark harness of zero-shot action recognition}},
      note = {Version 0.2.0},
    }
    <BLANKLINE>
    % no reference known for method random
    """
    needed: dict[str, tuple[Reference, list[str]]] = {}
    without = []
    for what, references, where in cited:
        for reference in references:
            # Another reference of that key gets a number, as in smith2020actions2.
            keys = (f"{reference.key}{n if n > 1 else ''}" for n in count(1))
            key = next(key for key in keys if key not in needed or needed[key][0].identity == reference.identity)
            needed.setdefault(key, (reference, []))[1].append(what)
        if not references:
            without.append(f"% no reference known for {what}{f': {where}' if where else ''}")
    entries = [f"% {', '.join(what)}\n{reference.bibtex(key)}" for key, (reference, what) in needed.items()]
    return "\n\n".join(filter(None, [_ZSLBENCH, *entries, "\n".join(without)]))


_ZSLBENCH = f"""\
% zslbench {__version__}
@misc{{zslbench,
  author = {{{{The zslbench authors}}}},
  title = {{{{zslbench: the benchmark harness of zero-shot action recognition}}}},
  note = {{Version {__version__}}},
}}"""


def _of_cells(cells: Sequence[Cell]) -> Iterator[Cited]:
    for cell in cells:
        yield from map(_dataset, filter(None, (cell.dataset, cell.seen_dataset)))
        if cell.auxiliary:
            yield _dataset(cell.auxiliary.dataset)
    yield from (_family(cell) for cell in cells)
    yield from (_vectors(cell) for cell in cells)
    for cell in cells:
        yield from _features(cell)
    for cell in cells:
        yield from _method(cell.method)


def _dataset(name: str) -> Cited:
    try:
        return Cited(f"dataset {name}", references_of(None, get_dataset(name).citation))
    except ZslbenchError:
        return Cited(f"dataset {name}", (), "it is not on this machine")


def _family(cell: Cell) -> Cited:
    what = f"split family {cell.family}"
    try:
        source = find_family(get_dataset(cell.dataset), cell.family).source
    except ZslbenchError:
        return Cited(what, (), f"{cell.dataset} has no such family on this machine")
    paper = _PAPER.fullmatch(source)
    found = Reference.read(paper[1]) if paper else None
    return Cited(what, (found,)) if found and found.authors else Cited(what, (), source)


def _vectors(cell: Cell) -> Cited:
    name = parse_spec(cell.semantics)[0]
    try:
        card = get_dataset(cell.dataset).vectors[name].with_suffix(".json")
    except (ZslbenchError, KeyError):
        return Cited(f"class vectors {name}", (), "they were imported")
    known = read_json(card).get("citation", "") if card.is_file() else ""
    return Cited(f"class vectors {name}", references_of(None, known))


def _features(cell: Cell) -> Iterator[Cited]:
    title = f"features {cell.dataset}@{cell.features}"
    try:
        features = open_features(get_dataset(cell.dataset), cell.features)
    except ZslbenchError:
        yield Cited(title, (), "they are not on this machine")
        return
    if features.manifest.digest != cell.features_digest:
        yield Cited(title, (), "other features have this name on this machine now")
        return
    if len(features.parts) > 1:
        yield Cited(f"ensemble {cell.dataset}@{cell.features}", references_of(None, ENSEMBLE_CITATION))
    for part in features.parts:
        yield from _extracted(part.manifest)


def _extracted(manifest: Manifest) -> Iterator[Cited]:
    from zslbench.video.backbone import BACKBONES, UNTRAINED

    title = f"features {manifest.dataset}@{manifest.name}"
    if manifest.simulated:
        yield Cited(title, (), "they are simulated")
        return
    name = manifest.extractor.partition(" ")[0]
    if name in BACKBONES.names():
        yield _backbone(name)
    else:
        yield Cited(f"extractor {manifest.extractor} of {title}", ())
    listed = [data for data in manifest.trained_on if data not in UNTRAINED and not is_unknown(data)]
    for data in map(dataset_name, listed):
        if data in dataset_names():
            yield _dataset(data)
        else:
            yield Cited(f"training data {data} of {title}", ())


def _backbone(name: str) -> Cited:
    from zslbench.video.backbone import BACKBONES

    return Cited(f"backbone {name}", references_of(None, BACKBONES.get(name).info.citation))


def _method(name: str) -> Iterator[Cited]:
    """Yield a method, and each of its steps."""
    own, *steps = name.split("+")
    for kind, registry, each in [("method", METHODS, own), *(("step", STEPS, step) for step in steps)]:
        try:
            plugin = registry.get(each)
        except ZslbenchError:
            yield Cited(f"{kind} {each}", (), "it is not installed")
            continue
        yield Cited(f"{kind} {each}", references_of(plugin.__doc__, plugin.info.citation))
