"""A made-up world whose regularity a method can learn, for tests of methods."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.kernels import normalised
from zslbench.method import Classes
from zslbench.videos import SeenVideos, Videos


class World(NamedTuple):
    """The videos and classes of :func:`linear_world`.

    Attributes
    ----------
    seen, classes
        Training videos with labels, and their classes.
    test, unseen
        Test videos, one class after the other, and their classes.
    labels
        (n_test,) index of each test video's class in ``unseen``.
    image
        (d, dim) the map from class vectors of unit length to frames.

    Examples
    --------
    >>> world = linear_world(n_classes=3, n_unseen=2, per_class=4)
    >>> (world.test.pooled() @ np.linalg.pinv(world.image)).shape == (8, world.unseen.vectors.shape[1])
    True
    """

    seen: SeenVideos
    classes: Classes
    test: Videos
    unseen: Classes
    labels: NDArray[np.int64]
    image: NDArray[np.float64]


def linear_world(
    n_classes: int = 16,
    noise: float = 0.2,
    *,
    n_unseen: int = 4,
    d: int = 5,
    dim: int = 8,
    per_class: int = 12,
    lengths: tuple[int, int] = (1, 5),
    seed: int = 0,
) -> World:
    """Return videos whose frames are a linear map of their class vector's direction, plus Gaussian noise.

    The map is the same for seen and unseen classes, so a method that finds it recognises unseen classes. Class vectors
    have different lengths, which mean nothing.

    Parameters
    ----------
    n_classes, n_unseen
        Number of seen and of unseen classes.
    noise
        Standard deviation of the noise of each value of a frame; that of the values themselves is about 1.
    d, dim
        Values per class vector and per frame.
    per_class
        Videos per class.
    lengths
        Smallest and largest number of frames per video.
    seed
        Seed of all random numbers.

    Examples
    --------
    >>> from zslbench.testing import linear_world
    >>> seen, classes, test, unseen, labels, image = linear_world(n_classes=3, n_unseen=2, per_class=4)
    >>> len(seen), len(classes), labels.tolist()
    (12, 3, [0, 0, 0, 0, 1, 1, 1, 1])
    """
    rng = np.random.default_rng(seed)
    n = n_classes + n_unseen
    vectors = rng.normal(size=(n, d)).astype(np.float32)
    image = rng.normal(size=(d, dim))
    labels = np.repeat(np.arange(n), per_class)
    counts = rng.integers(lengths[0], lengths[1] + 1, size=len(labels))
    frames = (normalised(vectors) @ image)[np.repeat(labels, counts)] + noise * rng.normal(size=(counts.sum(), dim))
    videos = np.split(frames.astype(np.float32), np.cumsum(counts)[:-1])
    every, known = Classes(tuple(f"class {i}" for i in range(n)), vectors), n_classes * per_class
    return World(
        SeenVideos.from_arrays(videos[:known], labels=labels[:known]),
        every.take(np.arange(n_classes)),
        Videos.from_arrays(videos[known:]),
        every.take(np.arange(n_classes, n)),
        labels[known:] - n_classes,
        image,
    )
