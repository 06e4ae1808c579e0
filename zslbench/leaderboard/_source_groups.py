"""Estimate the variance of a class's difference that comes from its choice of videos.

Clips cut from one source are near-copies of each other. So the independent unit within a class is the source group
(UCF101's ``g01`` to ``g25``, HMDB51's films), not the clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.store import Record, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet


@dataclass(frozen=True)
class GroupVariance:
    """Variance of a class's mean difference over its source groups."""

    variance: float
    n_groups: int

    def margin(self, level: float) -> float:
        """Return half the width of the class's interval, by Student's t with n_groups - 1 degrees of freedom."""
        from scipy import special

        return float(special.stdtrit(self.n_groups - 1, (1 + level) / 2)) * math.sqrt(self.variance)


def group_variances(
    first: Sequence[Record], second: Sequence[Record], store: Store, figure: str
) -> dict[str, GroupVariance]:
    """Return class -> variance of its mean difference over its source groups.

    Let y be the difference in a video: correct of one method minus correct of the other, averaged over the cells. The
    class's difference is d = sum(y) / m, a ratio over G groups. Its variance is
    G / (G - 1) sum_g (y_g - d m_g)^2 / m^2 (Cochran, Sampling Techniques, 1977, section 9A.2, without the correction
    for finite populations).

    Parameters
    ----------
    first, second
        Cells of two methods on the same splits and seeds.
    store
        The store of their predictions.
    figure
        ``top1_per_class``, or ``S`` or ``U`` for the seen or the unseen classes of each split.

    Raises
    ------
    ZslbenchError
        The features or predictions are missing or changed, or a class has fewer than two groups.
    """
    features = _features(first[0])
    place = {video: i for i, video in enumerate(features.ids)}
    right = np.zeros(len(place))
    times = np.zeros(len(place))
    for sign, records in ((1.0, first), (-1.0, second)):
        for record in records:
            rows, hits = _hits(record, store, place, figure)
            right[rows] += sign * hits
            times[rows] += sign > 0
    used = np.flatnonzero(times)
    y = right[used] / times[used]
    names = features.dataset.classes
    labels = features.labels[used]
    groups = np.array(features.groups)[used]
    return {names[label]: _variance(names[label], y[labels == label], groups[labels == label])
            for label in np.unique(labels).tolist()}  # fmt: skip


def _variance(name: str, y: NDArray[np.float64], groups: NDArray[Any]) -> GroupVariance:
    _, inverse = np.unique(groups, return_inverse=True)
    sizes, sums = np.bincount(inverse), np.bincount(inverse, y)
    n = len(sizes)
    if n < 2 or (groups == "").any():
        raise ZslbenchError(
            f"--cluster class+group needs at least two source groups per class, and {name} has none or one; import the "
            "features with a column 'group', or leave out --cluster."
        )
    rest = sums - y.mean() * sizes
    return GroupVariance(float(n / (n - 1) * (rest @ rest) / len(y) ** 2), n)


def _features(record: Record) -> FeatureSet:
    cell = record.cell
    features = open_features(get_dataset(cell.dataset), cell.features)
    if features.manifest.digest != cell.features_digest:
        raise ZslbenchError(
            f"{cell.dataset}@{cell.features} was imported again after these results were made, so their source groups "
            "are unknown; run the methods again."
        )
    return features


def _hits(
    record: Record, store: Store, place: dict[str, int], figure: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the indices of a cell's videos (of one side for S and U), and 1 for each correct first prediction."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = store.path(record.cell.id) / "predictions.parquet"
    try:
        table = pq.read_table(path, columns=["video", "label", "predicted"])
    except (OSError, pa.ArrowException) as error:
        raise ZslbenchError(f"{path} cannot be read; run the cell again with 'zslbench run --rerun all'.") from error
    labels = table["label"].cast(pa.string())
    hits = pc.equal(pc.list_element(table["predicted"], 0), labels).to_numpy().astype(np.float64)
    rows = np.array([place[video] for video in table["video"].to_pylist()], dtype=np.int64)
    counts = record.result.classes
    if figure == "top1_per_class" or counts is None:
        return rows, hits
    side = {name for name, unseen in zip(counts.names, counts.unseen, strict=True) if unseen == (figure == "U")}
    kept = pc.is_in(labels, value_set=pa.array(sorted(side))).to_numpy()
    return rows[kept], hits[kept]
