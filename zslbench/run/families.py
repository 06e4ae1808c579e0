"""Choose the split family of a run, and check that it fits the protocol and the options."""

from __future__ import annotations

from pathlib import Path

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import SplitFamily
from zslbench.datasets.video_ids import video_key
from zslbench.datasets.video_lists import list_names
from zslbench.errors import ZslbenchError, some
from zslbench.families.catalog import find_family
from zslbench.families.chosen import store_chosen
from zslbench.families.cross import ZSAR, cross_name, shared_classes
from zslbench.families.listed import BASE_TO_NOVEL, CUSTOMARY_SHOTS, OFFICIAL, SUPERVISED
from zslbench.features.feature_set import FeatureSet
from zslbench.protocols.protocol import PROTOCOLS, Protocol
from zslbench.run.experiment import Experiment

_SIMULATED_SHOTS = 8
_WITH_SHOTS = ("few-shot", "base-to-novel")
_FITTING = {
    "few-shot": f"{CUSTOMARY_SHOTS}-shot", "supervised": SUPERVISED, "base-to-novel": BASE_TO_NOVEL,
    "zsl": "random-50/50", "gzsl": "random-50/50",
}  # fmt: skip


def open_family(
    experiment: Experiment, protocol: Protocol, features: FeatureSet, *, trained_on_zsar: bool
) -> SplitFamily:
    """Return the family of a run, checked against the feature set and the protocol.

    Parameters
    ----------
    trained_on_zsar
        Whether features of the training classes of ``kinetics-zsar`` are at hand.

    Raises
    ------
    ZslbenchError
        Options contradict each other or the protocol, or the feature set lacks classes.
    """
    _check_options(experiment, protocol)
    name = _name(experiment, protocol, features, trained_on_zsar)
    family = find_family(features.dataset, name, features.covered)
    _check_protocol(family, protocol)
    if PROTOCOLS[protocol].tested == "both" and family.has_own_lists:
        _check_own_lists(family)
    if PROTOCOLS[protocol].tested == "both" and family.splits[0].seen_dataset:
        _check_apart(family)
    family.check_coverage(features.covered, features.title)
    return family


def _check_options(experiment: Experiment, protocol: Protocol) -> None:
    if experiment.shots and protocol not in _WITH_SHOTS:
        raise ZslbenchError(f"--shots has no meaning in {protocol}; use --protocol few-shot or base-to-novel.")
    if experiment.without_overlap and not experiment.train:
        raise ZslbenchError("--without-overlap leaves out classes of another training dataset; name it with --train.")
    if experiment.train_classes and (not experiment.train or experiment.family):
        raise ZslbenchError("--train-classes chooses among the classes of --train; give --train, and no --family.")
    if experiment.train and protocol not in ("zsl", "gzsl"):
        raise ZslbenchError(f"{protocol} trains on the tested dataset; leave out --train.")
    if experiment.shots and experiment.family:
        raise ZslbenchError(f"--shots and --family {experiment.family} both name the splits; give one of them.")
    if experiment.train and experiment.family not in (None, OFFICIAL):
        raise ZslbenchError(
            f"--train makes its own splits, of all classes; use --family {OFFICIAL} or none with it, not "
            f"{experiment.family}."
        )


def _name(experiment: Experiment, protocol: Protocol, features: FeatureSet, trained_on_zsar: bool) -> str:
    """Return the family that the options name, or the protocol's usual one."""
    dataset = features.dataset
    if experiment.train and experiment.train_classes:
        path = Path(experiment.train_classes)
        return store_chosen(dataset, experiment.train, path, without_overlap=experiment.without_overlap)
    if experiment.train:
        lists = experiment.family == OFFICIAL
        return cross_name(experiment.train, dataset.name, lists=lists, without_overlap=experiment.without_overlap)
    if experiment.family:
        return experiment.family
    made_up = features.manifest.simulated  # on no published list, and a quarter of the videos
    shots = experiment.shots or (_SIMULATED_SHOTS if made_up else CUSTOMARY_SHOTS)
    published_lists = () if made_up else list_names(dataset.name)
    if protocol == "supervised":
        return SUPERVISED
    if protocol == "few-shot":
        return f"{shots}-shot-published" if f"{shots}-shot-1" in published_lists else f"{shots}-shot"
    if protocol == "base-to-novel":
        published = shots == CUSTOMARY_SHOTS and f"{BASE_TO_NOVEL}-1" in published_lists
        return BASE_TO_NOVEL if published else f"{BASE_TO_NOVEL}-{shots}"
    return _usual(dataset, features, protocol, trained_on_zsar)


def _usual(dataset: Dataset, features: FeatureSet, protocol: Protocol, trained_on_zsar: bool) -> str:
    whole = len(features.covered) == len(dataset.classes)
    if ZSAR in dataset.stored_families and trained_on_zsar and protocol == "zsl":
        return ZSAR
    return "xu-50/50" if whole and "xu-50/50" in dataset.family_names else "random-50/50"


def _check_protocol(family: SplitFamily, protocol: Protocol) -> None:
    """Refuse a family whose splits are made for another protocol."""
    split, tested = family.splits[0], PROTOCOLS[protocol].tested
    if family.name == SUPERVISED:
        fits, wanted = protocol == "supervised", "supervised"
    elif split.seen and not split.unseen:
        fits, wanted = protocol == "few-shot", "few-shot"
    elif split.videos and split.seen and not (split.seen_dataset or split.videos.own):
        fits, wanted = tested == "apart", "base-to-novel"
    elif not split.seen:
        fits, wanted = tested == "unseen", "zsl"
    else:
        fits, wanted = tested in ("unseen", "both"), "zsl or gzsl"
    if not fits:
        raise ZslbenchError(
            f"{family.name} has splits of {wanted}, not of {protocol}; use --protocol {wanted}, or --family "
            f"{_FITTING[protocol]}."
        )


def _check_own_lists(family: SplitFamily) -> None:
    """Refuse a family in gzsl whose own lists hold out no video of a seen class: it would be in no S and no H."""
    for i, split in enumerate(family.splits):
        own = split.videos.own if split.videos else None
        if own and (lacking := set(split.seen) - {own.class_of[video] for video in own.test}):
            raise ZslbenchError(
                f"{family.name} holds out no videos of {len(lacking)} of {len(split.seen)} seen classes in split {i} "
                f"({some(sorted(lacking), 3)}), so gzsl would leave them out of S and H; use --protocol zsl."
            )


def lacking_videos(family: SplitFamily, features: FeatureSet) -> str:
    """Return how many videos of the family's own lists the features lack, as a sentence; empty if there are none."""
    there = set(map(video_key, features.ids))
    own = [split.videos.own for split in family.splits if split.videos and split.videos.own]
    named = {video for each in own for video in (*each.train, *each.test)}
    missing = sorted(video for video in named if video_key(video) not in there)
    if not missing:
        return ""
    title, total = f"{family.dataset}@{features.manifest.name}", f"{len(missing):,} of the {len(named):,} videos"
    return f"{title} lacks {total} of {family.name} ({some(missing, 2)})."


def _check_apart(family: SplitFamily) -> None:
    """Refuse to offer a class of the tested dataset together with one of the same name that was trained on."""
    if shared := shared_classes(family):
        tested = {name for split in family.splits for name in split.unseen}
        raise ZslbenchError(
            f"{len(shared)} of the {len(tested)} tested classes of {family.name} have the name of a training class "
            f"({some(shared, 4)}), so gzsl would offer them twice; use --train {family.splits[0].seen_dataset} "
            f"--without-overlap."
        )
