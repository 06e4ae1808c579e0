"""What the audit cannot check, because only the person who imported it knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from zslbench.audit._features import find_manifests
from zslbench.audit._vectors import finished_sources
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import is_unknown, is_untrained
from zslbench.datasets.splits import RANDOM_FAMILIES
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.families.cross import is_cross
from zslbench.families.listed import listed_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet, Manifest
from zslbench.semantics.store import read_semantics_manifest
from zslbench.semantics.texts import SHIPPED

_KINDS = {"words": "word vectors", "classes": "finished class vectors, made from what is not recorded"}


def trusted_records(records: Iterable[Record]) -> list[str]:
    """Return one sentence for each thing that stored results take on trust; features first."""
    records = list(records)
    cells = [record.cell for record in records]
    sides = {(cell.dataset, cell.features, cell.features_digest, cell.protocol == "gzsl") for cell in cells}
    sides |= {
        (cell.seen_dataset, cell.features, cell.seen_features_digest or "", False)
        for cell in cells
        if cell.seen_dataset
    }
    sides |= {
        (other.dataset, other.features, other.features_digest, False) for cell in cells if (other := cell.auxiliary)
    }
    found: list[str] = []
    for dataset, name, digest, gzsl in sorted(sides):
        for manifest in find_manifests(dataset, name, digest):
            found += _of_features(manifest)
            if gzsl:
                found += _of_lists(dataset, manifest.name)
    for name, count in sorted(Counter(record.origin for record in records if record.origin).items()):
        ran = "1 cell" if count == 1 else f"{count} cells"
        found.append(f"bundle {name}: {ran} ran elsewhere; its predictions are those of the methods that it names")
    for dataset, spec in sorted({(cell.dataset, cell.semantics) for cell in cells}):
        found += _of_vectors(dataset, spec)
    for dataset, texts in sorted({(cell.dataset, cell.texts) for cell in cells if cell.texts}):
        if texts != SHIPPED:
            found.append(f"class texts {texts} of {dataset}: imported; who wrote them from what is not recorded")
    for dataset, family in sorted({(cell.dataset, cell.family) for cell in cells}):
        found += _of_family(dataset, family)
    return list(dict.fromkeys(found))


def trusted_features(features: FeatureSet, families: Iterable[str] = ()) -> list[str]:
    """Return one sentence for each thing that an audit of a feature set takes on trust."""
    dataset = features.dataset
    found = [*_of_features(features.manifest), *_of_lists(dataset.name, features.manifest.name)]
    for source in finished_sources(dataset.name):
        found += _of_vectors(dataset.name, source)
    for family in families:
        found += _of_family(dataset.name, family)
    return found


def _of_features(manifest: Manifest) -> Iterator[str]:
    if manifest.simulated:
        return
    where = f"{manifest.dataset}@{manifest.name}"
    listed = [name for name in manifest.trained_on if not is_unknown(name)]
    names = ", ".join(listed)
    if not manifest.trained_on:
        trained = "nobody said what the extractor was trained on"
    elif not listed:
        trained = "nobody can list what the extractor was trained on"
    elif len(listed) < len(manifest.trained_on):
        trained = f"the extractor was trained on {names}, and on data that nobody can list"
    elif all(map(is_untrained, manifest.trained_on)):
        trained = "the extractor was trained on nothing"
    else:
        trained = f"the extractor was trained on {names} and on nothing else"
    known = manifest.weights_digest
    weights = f"its weights were {known[:12]}..." if known else "its weights are unknown"
    yield f"{where}: {trained}; {weights}"
    if manifest.pca_fit == "seen":
        yield f"{where}: its PCA was fitted on seen classes only"


def _of_lists(dataset: str, name: str) -> Iterator[str]:
    """Yield a sentence about official lists or source groups, which decide what gzsl holds out."""
    try:
        features = open_features(get_dataset(dataset), name)
    except ZslbenchError:
        return
    if features.manifest.simulated:
        return
    if features.has_official_lists:
        yield f"{dataset}@{name}: the train and test lists are the official ones"
    elif any(features.groups):
        yield f"{dataset}@{name}: the source groups are right"


def _of_vectors(dataset: str, spec: str) -> Iterator[str]:
    name = spec.partition(":")[0]
    try:
        if name in get_dataset(dataset).vectors:
            return
        manifest = read_semantics_manifest(name)
    except ZslbenchError:
        yield f"class vectors {spec} of {dataset}: not here any more, so their source is unknown"
        return
    prompt = f", {manifest.prompts[dataset]}" if dataset in manifest.prompts else ""
    yield f"class vectors {spec} of {dataset}: {_KINDS[manifest.kind]}, from the file {manifest.source_file}{prompt}"


def _of_family(dataset: str, name: str) -> Iterator[str]:
    """Yield a sentence about splits that are not those of the dataset's own release."""
    try:
        known: Dataset = get_dataset(dataset)
        if name in known.stored_families or name in RANDOM_FAMILIES:
            return
        if name not in known.family_names and (is_cross(name) or listed_family(known, name, known.classes)):
            return
        source = find_family(known, name).source
    except ZslbenchError:
        yield f"splits {name} of {dataset}: not here any more, so their source is unknown"
        return
    yield f"splits {name} of {dataset}: imported or made here, from {source or 'a source that is not recorded'}"
