"""A made-up world in which a video is a noisy linear image of its class's attributes."""

import numpy as np

from zslbench.method import Classes, Report, SeenVideos, Videos


def world(n_seen=24, n_unseen=4, n_attributes=8, dim=12, per_class=8, noise=0.3, seed=0):
    """Return seen videos and classes, test videos and classes, and the test videos' places among these."""
    rng = np.random.default_rng(seed)
    n = n_seen + n_unseen
    codes = rng.permutation(2**n_attributes)[:n]  # no two classes alike
    attributes = (codes[:, None] >> np.arange(n_attributes) & 1).astype(np.float32)
    image = rng.normal(size=(n_attributes, dim))
    labels = np.repeat(np.arange(n), per_class)
    x = ((attributes[labels] - 0.5) @ image + noise * rng.normal(size=(len(labels), dim))).astype(np.float32)
    classes = Classes(tuple(f"class {i}" for i in range(n)), attributes, attributes=attributes)
    known = labels < n_seen
    return (
        SeenVideos.from_arrays(x[known], labels=labels[known]),
        classes.take(np.arange(n_seen)),
        Videos.from_arrays(x[~known]),
        classes.take(np.arange(n_seen, n)),
        labels[~known] - n_seen,
    )


def fitted(method, seen, classes, report=None, **params):
    """Return a method that has learnt from the seen videos."""
    made = method(params)
    made.fit(seen, classes, None, report or Report())
    return made
