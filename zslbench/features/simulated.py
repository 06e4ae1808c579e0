"""Simulate features, so that everything runs on a fresh machine. All output says that they are simulated.

The prototype of a class is a fixed random non-linear map of its class vector, plus a random part that no text explains.
Each class is an ordered sequence of sub-actions. Their offsets sum to zero, so the order carries information that a
mean destroys. Every source group has an offset, frames have noise, and the number of frames varies as in the real set.
docs/simulation.md says what simulated features can and cannot show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from zslbench.datasets.dataset import Dataset
from zslbench.digests import derive_seed
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import SIMULATED, FeatureSet, FeatureWriter, Manifest, feature_path
from zslbench.files import new_directory
from zslbench.semantics.class_vectors import open_semantics

DIM = 128
SLOTS = 52  # Action2Vec's: 16-frame clips, stride 8, 14 s at 30 fps
GROUPS = 25  # source groups per class, as in UCF101
SUB_ACTIONS = 4
DEFAULT_PER_CLASS = 100  # videos, if the dataset has no numbers
SHARE = 0.25  # of the real numbers, so that a first run ends soon
EXTRACTOR = "zslbench simulation 1"


class _Weights:
    """The weight of each part of a frame, calibrated so that pooled ridge reaches 0.15 to 0.35 on HMDB51 50/50."""

    text: float = 1.5
    own: float = 0.8
    order: float = 1.5
    group: float = 0.8
    video: float = 0.6
    noise: float = 1.5


def simulate(
    dataset: Dataset,
    *,
    name: str = SIMULATED,
    videos_per_class: int | None = None,
    full: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureSet:
    """Return the simulated feature set of a dataset; it is generated on first use, and is the same on every machine.

    Parameters
    ----------
    name
        The feature set's name; choose another name for another size.
    videos_per_class
        The same number for every class. Default: a quarter of the dataset's numbers, or 25 if it has none.
    full
        Take all of the dataset's numbers instead, or 100 if it has none.
    progress
        Called with (classes done, all classes).

    Raises
    ------
    ZslbenchError
        Features of this name are not simulated, or there are not as many videos as are asked for.
    """
    path = feature_path(dataset.name, name)
    real = dataset.videos_per_class or {}
    share = 1 if full else SHARE
    counts = {
        class_name: videos_per_class or math.ceil(share * real.get(class_name, DEFAULT_PER_CLASS))
        for class_name in dataset.classes
    }
    if not (path / "manifest.json").is_file():
        with new_directory(path, replace=True) as folder:
            _generate(dataset, name, counts, FeatureWriter(folder, DIM, "float16"), progress)
    features = FeatureSet(path, dataset)
    if not features.manifest.simulated:
        raise ZslbenchError(f"{path} contains features that are not simulated; import them under another name.")
    if (videos_per_class or full) and features.counts != counts:
        raise ZslbenchError(
            f"{features.title} already exists with another number of videos; run 'zslbench features remove "
            f"{dataset.name} {name}' first, or choose another --name."
        )
    return features


def _generate(
    dataset: Dataset,
    name: str,
    counts: Mapping[str, int],
    writer: FeatureWriter,
    progress: Callable[[int, int], None],
) -> Manifest:
    vectors = open_semantics("minilm", dataset).vectors.astype(np.float64)
    classes = _Maps(vectors.shape[1])
    for i, class_name in enumerate(dataset.classes):
        n = counts[class_name]
        rng = np.random.default_rng(derive_seed(EXTRACTOR, dataset.name, class_name))
        lengths, frames, group = classes.draw(vectors[i], n, dataset.frames_per_video, rng)
        ids = [f"sim_{class_name}_g{g + 1:02d}_c{j + 1:03d}" for j, g in enumerate(group)]
        groups = [f"{g + 1:02d}" for g in group]
        writer.append(ids, [class_name] * n, groups, [""] * n, lengths, frames)
        progress(i + 1, len(dataset.classes))
    return writer.finish(
        dataset=dataset.name,
        name=name,
        classes_digest=dataset.digest,
        kind="sequences",
        extractor=EXTRACTOR,
        simulated=True,
        source="generated",
        # Part of the digest: another text would make every stored cell on simulated features run again.
        note="Simulated: no video was looked at. Figures on it say nothing about real recognition.",
    )


class _Maps:
    """The fixed random maps from class vectors to prototypes and sub-actions, the same for every dataset."""

    def __init__(self, dim: int, hidden: int = 96) -> None:
        rng = np.random.default_rng(derive_seed(EXTRACTOR, "maps", dim))
        self._into = rng.normal(size=(dim, hidden))
        self._prototype = rng.normal(size=(hidden, DIM)) / np.sqrt(hidden)
        steps = rng.normal(size=(SUB_ACTIONS, hidden, DIM)) / np.sqrt(hidden)
        self._steps = steps - steps.mean(axis=0)  # sums to zero, so that a mean over frames loses the order

    def draw(
        self, vector: NDArray[np.float64], n: int, frames_per_video: tuple[float, float], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Return the lengths (n,), frames (sum of lengths, DIM) and source groups (n,) of one class's videos."""
        w = _Weights
        median, spread = frames_per_video
        duration = median * np.exp(spread * rng.normal(size=n))
        lengths = np.clip((duration - 16) // 8 + 1, 1, SLOTS).astype(np.int64)  # clips of 16 frames with stride 8
        hidden = np.tanh(1.5 * vector @ self._into)
        prototype = w.text * hidden @ self._prototype + w.own * rng.normal(size=DIM)
        steps = w.order * np.einsum("h,khd->kd", hidden, self._steps)
        group = np.sort(rng.integers(GROUPS, size=n))
        offsets = w.group * rng.normal(size=(GROUPS, DIM))[group] + w.video * rng.normal(size=(n, DIM))
        video = np.repeat(np.arange(n), lengths)
        place = np.arange(len(video)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        phase = (place * SUB_ACTIONS) // lengths[video]
        frames = prototype + steps[phase] + offsets[video] + w.noise * rng.normal(size=(len(video), DIM))
        return lengths, frames.astype(np.float32), group
