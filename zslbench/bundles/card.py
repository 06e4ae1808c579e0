"""The card of a bundle: which cells it has, by checksum, of which inputs, and whom to cite."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from zslbench.cells.cell import SUMS, Cell
from zslbench.cells.store import CARD_FILE, Record, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.digests import file_sha256
from zslbench.embeddings.card import vectors_licence
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.registry import get_method
from zslbench.semantics.spec import parse_spec
from zslbench.version import __version__


class FeaturesCard(BaseModel):
    """The provenance of a feature set; the features themselves are in no bundle.

    Attributes
    ----------
    extractor, trained_on, source, note
        As its manifest has them; empty if the feature set is not on the machine of the export.

    Examples
    --------
    >>> FeaturesCard(digest="0f", extractor="c3d-fc6", trained_on=("sports1m",)).extractor
    'c3d-fc6'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: str
    extractor: str = ""
    trained_on: tuple[str, ...] = ()
    source: str = ""
    note: str = ""


class BundleCard(BaseModel):
    """The content of a bundle.

    Attributes
    ----------
    cells
        Id -> SHA-256 of the cell's ``SHA256SUMS``, which has the checksums of all its files.
    origins
        Id of a cell that was imported before its export -> the name of the bundle that first brought it.
    splits, class_vectors
        Name -> digests.
    features
        ``dataset@name`` -> provenance.
    licences, citations
        Sentences on the terms of the data and texts to cite.

    Examples
    --------
    >>> card = BundleCard(name="mine", zslbench="0.2.0", created="2026-01-01", cells={"0f": "9a"})
    >>> BundleCard.model_validate_json(card.model_dump_json()) == card
    True
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: Literal[1] = 1
    name: str
    zslbench: str
    created: str
    cells: dict[str, str]
    origins: dict[str, str] = {}
    splits: dict[str, tuple[str, ...]] = {}
    class_vectors: dict[str, tuple[str, ...]] = {}
    features: dict[str, FeaturesCard] = {}
    licences: tuple[str, ...] = ()
    citations: tuple[str, ...] = ()


def describe_bundle(name: str, store: Store, records: Sequence[Record]) -> BundleCard:
    """Return the card of a bundle of these cells.

    Of imported cells, it also passes on what the cards of their bundles say: this machine may not have the plugins.
    """
    cells = [record.cell for record in records]
    bundles = sorted({record.origin for record in records} - {""})
    theirs = [card for name in bundles if (card := imported_card(store, name))]
    return BundleCard(
        name=name,
        zslbench=__version__,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        cells={record.cell.id: file_sha256(store.folder(record) / SUMS) for record in records},
        origins={record.cell.id: first_origin(store, record) for record in records if record.origin},
        splits=_digests((f"{cell.dataset} {cell.family}", cell.split_digest) for cell in cells),
        class_vectors=_digests((f"{cell.dataset} {cell.semantics}", cell.semantics_digest) for cell in cells),
        features=_features(cells, theirs),
        licences=_merged((_licence(cell) for cell in cells), *(card.licences for card in theirs)),
        citations=_merged(*map(_citations, cells), *(card.citations for card in theirs)),
    )


def first_origin(store: Store, record: Record) -> str:
    """Return the bundle that first brought a cell, before others passed it on; empty if the cell ran here."""
    card = imported_card(store, record.origin) if record.origin else None
    return (card and card.origins.get(record.cell.id)) or record.origin


def imported_card(store: Store, name: str) -> BundleCard | None:
    """Return the card of an imported bundle, or ``None`` if it cannot be read."""
    try:
        return BundleCard.model_validate_json((store.imported / name / CARD_FILE).read_bytes())
    except (OSError, ValueError):
        return None


def _merged(*texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for each in texts for text in each} - {""}))


def _digests(named: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for name, digest in named:
        found.setdefault(name, set()).add(digest)
    return {name: tuple(sorted(digests)) for name, digests in sorted(found.items())}


def _features(cells: Iterable[Cell], theirs: Iterable[BundleCard]) -> dict[str, FeaturesCard]:
    """Return title -> provenance; of several feature sets with one title, each has its digest in the title."""
    known = {card.digest: card for bundle in theirs for card in bundle.features.values()}
    found: dict[str, dict[str, FeaturesCard]] = {}
    for cell in cells:
        ours = _provenance(cell)
        card = ours if ours.extractor else known.get(ours.digest, ours)
        found.setdefault(f"{cell.dataset}@{cell.features}", {})[card.digest] = card
    return {
        title if len(cards) == 1 else f"{title} {digest[:12]}": card
        for title, cards in sorted(found.items())
        for digest, card in sorted(cards.items())
    }


def _provenance(cell: Cell) -> FeaturesCard:
    try:
        manifest = open_features(get_dataset(cell.dataset), cell.features).manifest
    except ZslbenchError:
        return FeaturesCard(digest=cell.features_digest)
    if manifest.digest != cell.features_digest:  # another feature set has this name now
        return FeaturesCard(digest=cell.features_digest)
    known = manifest.model_dump(include={"extractor", "trained_on", "source", "note"})
    return FeaturesCard(digest=cell.features_digest, **known)


def _licence(cell: Cell) -> str:
    try:
        return vectors_licence(parse_spec(cell.semantics)[0], get_dataset(cell.dataset))
    except ZslbenchError:
        return ""


def _citations(cell: Cell) -> list[str]:
    found = []
    with contextlib.suppress(ZslbenchError):  # a plugin that is no longer installed
        found.append(get_dataset(cell.dataset).citation)
    with contextlib.suppress(ZslbenchError):
        found.append(get_method(cell.method).info.citation)
    return found
