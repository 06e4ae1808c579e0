"""Findings about feature sets: what their extractors and fitted steps saw of the unseen classes of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from zslbench.audit.findings import CODES, Finding
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import LabelSet, find_label_set, is_unknown, is_untrained
from zslbench.datasets.splits import SplitFamily
from zslbench.datasets.video_names import misnamed, too_many
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.ensemble import part_names
from zslbench.features.feature_set import FeatureSet, Manifest, feature_path
from zslbench.features.video_lists import held_out_list
from zslbench.overlap.matches import Match, overlapping

_SHOWN = 10  # videos in a finding
_UNKNOWN = (
    "say 'overlap unknown' beside every figure: it is neither shown to be zero-shot nor shown not to be. An extractor "
    "whose training data are listed can be checked."
)
Unseen = Mapping[str, frozenset[str]]  # digest of a split -> its unseen classes


def find_manifest(dataset: str, name: str, digest: str) -> Manifest | None:
    """Return the manifest of a feature set, or ``None`` if it does not exist or the name belongs to another one."""
    try:
        text = (feature_path(dataset, name) / "manifest.json").read_bytes()
        manifest = Manifest.model_validate_json(text)
    except (OSError, ValidationError):
        return None
    return manifest if manifest.digest == digest else None


def find_manifests(dataset: str, name: str, digest: str) -> list[Manifest]:
    """Return the manifests of the feature sets of an ensemble, or of one set; none if one was removed or changed."""
    names = part_names(name)
    if len(names) == 1:
        found = find_manifest(dataset, name, digest)
        return [found] if found else []
    try:
        ensemble = open_features(get_dataset(dataset), name)
    except ZslbenchError:
        return []
    return [part.manifest for part in ensemble.parts] if ensemble.manifest.digest == digest else []


def check_training(manifest: Manifest, where: str, families: Mapping[str, Unseen]) -> Iterator[Finding]:
    """Yield the findings about the extractor's training data: codes L1, L2, W1, W2 and W3.

    Parameters
    ----------
    where
        What a finding about overlap concerns.
    families
        Split family -> unseen classes of each split.
    """
    if manifest.simulated:
        return
    if not manifest.trained_on:
        yield Finding("W3", _title(manifest), ("nothing is recorded: the extractor may have seen every class",))
    for name in manifest.trained_on:
        labels = find_label_set(name)
        if is_untrained(name):
            continue
        if is_unknown(name):
            said = "declared as unknown: the extractor may have seen every class, and no list can show which"
            yield Finding("W3", _title(manifest), (said,), remedy=_UNKNOWN)
        elif labels is None:
            yield Finding("W3", _title(manifest), (f"there is no list of the labels of {name!r}",))
        elif labels.kind == "captions":
            said = f"{name}: {labels.display_name}; free text has no list of labels, so no action can be ruled out"
            yield Finding("W3", _title(manifest), (said,), remedy=_UNKNOWN)
        elif labels.dataset == manifest.dataset:
            yield Finding("L2", _title(manifest), (f"trained and tested on {labels.display_name}",))
        else:
            yield from _overlap(manifest.dataset, labels, where, families)


def _overlap(dataset: str, labels: LabelSet, where: str, families: Mapping[str, Unseen]) -> Iterator[Finding]:
    found = overlapping(dataset, labels.name, _ever(families))
    objects = labels.kind == "objects"
    same = [match for match in found if match.same and not objects]
    groups = {"L1": same, "W2" if objects else "W1": [match for match in found if match not in same]}
    names = {"DATASET": dataset, "LABELS": labels.name}
    for code, group in groups.items():
        if group:
            yield _overlap_finding(code, f"{where}: trained on {labels.display_name}", group, families, names)


def check_seen_classes(dataset: str, family: SplitFamily, where: str, unseen: Unseen) -> Iterator[Finding]:
    """Yield L3 and W12 if seen classes of another dataset are, or are near, unseen ones."""
    splits = [split for split in family.splits if split.digest in unseen and split.seen_dataset]
    seen_dataset = splits[0].seen_dataset if splits else None
    if seen_dataset is None or find_label_set(seen_dataset) is None:
        return
    families = {family.name: unseen}
    seen = frozenset(name for split in splits for name in split.seen)
    found = overlapping(dataset, seen_dataset, _ever(families), seen)
    names = {"SEEN_DATASET": seen_dataset, "DATASET": dataset, "LABELS": seen_dataset}
    groups = {"L3": [match for match in found if match.same], "W12": [match for match in found if not match.same]}
    for code, group in groups.items():
        if group:
            yield _overlap_finding(code, f"{where}: methods train on {seen_dataset}", group, families, names)


def _ever(families: Mapping[str, Unseen]) -> frozenset[str]:
    return frozenset(name for unseen in families.values() for names in unseen.values() for name in names)


def _overlap_finding(
    code: str, concerns: str, found: Sequence[Match], families: Mapping[str, Unseen], names: Mapping[str, str]
) -> Finding:
    """Return a finding about classes, with the number of them per split; ``names`` are inserted into the remedy."""
    classes = tuple(match.class_name for match in found)
    summary = [f"{len(classes)} of {len(_ever(families))} classes that are unseen in any split"]
    counted = [(family, _per_split(unseen, frozenset(classes))) for family, unseen in families.items()]
    if len(counted) == 1:
        summary = [f"{summary[0]}; {counted[0][1]}"]
    else:
        summary += [f"{family}: {text}" for family, text in counted]
    remedy = CODES[code].remedy
    for placeholder, name in names.items():
        remedy = remedy.replace(placeholder, name)
    return Finding(code, concerns, (*summary, *(match.text for match in found)), classes, remedy=remedy)


def _per_split(unseen: Unseen, classes: frozenset[str]) -> str:
    if not unseen:
        return "no split has figures"
    inside, sizes = ([len(names & kept) for names in unseen.values()] for kept in (classes, _ever({"": unseen})))
    where = f"in each of {len(unseen)} distinct splits" if len(unseen) > 1 else "in its one split"
    return f"{_range(inside)} of {_range(sizes)} unseen classes {where}"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def check_steps(manifest: Manifest) -> Iterator[Finding]:
    """Yield L4 and W11."""
    if manifest.pca_fit == "all":
        yield Finding(
            "L4", _title(manifest), (f"PCA to {manifest.dim} values, fitted on {manifest.n_videos:,} videos",)
        )
    if manifest.simulated:
        yield Finding("W11", _title(manifest), ("made from the class vectors; no video was used",))


def check_counts(title: str, present: Mapping[str, int], expected: Mapping[str, int] | None) -> list[Finding]:
    """Return W4 if a class that has videos has fewer than the dataset should have."""
    known = {name: expected[name] for name in present if name in expected} if expected else {}
    short = {name: (present[name], n) for name, n in known.items() if present[name] < n}
    if not short:
        return []
    total, all_of_them = sum(min(present[name], n) for name, n in known.items()), sum(known.values())
    worst = sorted(short, key=lambda name: short[name][0] - short[name][1])
    return [
        Finding(
            "W4",
            title,
            (
                f"{total:,} of {all_of_them:,} videos of {len(known)} classes; {len(short)} classes lack some",
                *(f"{name}: {short[name][0]} of {short[name][1]}" for name in worst),
            ),
            tuple(worst),
        )
    ]


def check_surplus(title: str, present: Mapping[str, int], dataset: Dataset) -> list[Finding]:
    """Return W20 if a class has more videos than the dataset."""
    more = too_many(dataset, present)
    if not more:
        return []
    surplus = sum(n - known for n, known in more.values())
    noun = "class has" if len(more) == 1 else "classes have"
    summary = f"{len(more)} {noun} {surplus:,} videos more than {dataset.name}"
    lines = [f"{name}: {n} of {known}" for name, (n, known) in more.items()]
    return [Finding("W20", title, (summary, *lines), tuple(more))]


def check_ids(features: FeatureSet) -> list[Finding]:
    """Return W19 if ids of videos name other classes than those that the videos are in."""
    dataset = features.dataset
    classes = [dataset.classes[label] for label in features.labels.tolist()]
    if features.manifest.simulated or not (found := list(misnamed(dataset, features.ids, classes))):
        return []
    summary = f"the ids of {len(found):,} of {len(features.ids):,} videos name another class"
    names = tuple(sorted({each.given for each in found}))
    return [Finding("W19", _title(features.manifest), (summary, *(each.text for each in found[:_SHOWN])), names)]


def check_groups(features: FeatureSet) -> list[Finding]:
    """Return W10 if gzsl would hold out single videos of classes whose source groups are unknown."""
    if features.has_official_lists or features.manifest.simulated or held_out_list(features):
        return []
    without = Counter(
        label for label, group in zip(features.labels.tolist(), features.groups, strict=True) if not group
    )
    if not without:
        return []
    names = tuple(features.dataset.classes[label] for label in sorted(without))
    summary = f"{sum(without.values()):,} videos of {len(names)} classes have no source group; no official lists either"
    return [Finding("W10", _title(features.manifest), (summary,), names)]


def _title(manifest: Manifest) -> str:
    return f"{manifest.dataset}@{manifest.name}"
