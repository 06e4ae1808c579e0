"""Find feature sets that have the same videos with the same features, in this or another order."""

from __future__ import annotations

import contextlib

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.features.catalog import list_features, open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.videos import IntArray

_SAMPLE, _BLOCK = 20, 256  # videos


def same_set_notes(features: FeatureSet) -> tuple[str, ...]:
    """Return a sentence per other feature set of the dataset that has the same videos with the same features.

    Features are released once per split, in another order each time; one import of them serves all splits.
    """
    notes = []
    dataset = features.dataset
    for _, name in list_features(dataset.name):
        with contextlib.suppress(ZslbenchError):  # a damaged set is no reason to stop an import
            if name != features.manifest.name and (order := _order(features, open_features(dataset, name))) is not None:
                turned = "" if np.array_equal(order, np.arange(len(order))) else ", in another order"
                notes.append(
                    f"these are the videos and features of {dataset.name}@{name}{turned}; one of the two is enough, as "
                    "splits name videos by their ids"
                )
    return tuple(notes)


def _order(features: FeatureSet, other: FeatureSet) -> IntArray | None:
    """Return the row of ``other`` of each video, or ``None`` if one video differs."""
    ours, theirs = features.manifest, other.manifest
    if theirs.transform or theirs.simulated or any(
        getattr(ours, name) != getattr(theirs, name) for name in ("n_videos", "n_frames", "dim", "dtype")
    ):  # fmt: skip
        return None
    place = {video: row for row, video in enumerate(other.ids)}
    order = np.array([place.get(video, -1) for video in features.ids], dtype=np.int64)
    lengths = features.store.lengths, other.store.lengths
    if (order < 0).any() or not np.array_equal(lengths[0], lengths[1][order]):
        return None
    everywhere = np.linspace(0, len(order) - 1, _SAMPLE).astype(np.int64)
    for rows in (everywhere, *np.array_split(np.arange(len(order)), len(order) // _BLOCK + 1)):
        if not np.array_equal(features.store.gather(rows), other.store.gather(order[rows])):
            return None
    return order
