"""The world that tests of methods learn in."""

import numpy as np

from zslbench.kernels import normalised
from zslbench.testing import linear_world


def test_frames_are_the_map_of_their_class_vectors_direction_plus_noise_of_the_given_size():
    world = linear_world(n_classes=40, noise=0.3, n_unseen=10, per_class=20, seed=2)
    for videos, classes, labels in (
        (world.seen, world.classes, world.seen.labels),
        (world.test, world.unseen, world.labels),
    ):
        means = normalised(classes.vectors)[labels] @ world.image
        rest = np.concatenate([videos.sequence(i) - mean for i, mean in enumerate(means)])
        assert abs(rest.mean()) < 0.02
        assert abs(rest.std() - 0.3) < 0.02


def test_the_same_seed_makes_the_same_world_and_another_seed_another():
    one, same, other = linear_world(seed=1), linear_world(seed=1), linear_world(seed=2)
    np.testing.assert_array_equal(one.seen.pooled(), same.seen.pooled())
    assert not np.array_equal(one.classes.vectors, other.classes.vectors)


def test_a_world_has_the_sizes_that_were_asked_for():
    world = linear_world(7, n_unseen=3, d=6, dim=9, per_class=5, lengths=(2, 4))
    assert (len(world.seen), len(world.test), world.seen.dim, world.image.shape) == (35, 15, 9, (6, 9))
    assert (len(world.classes), len(world.unseen)) == (7, 3)
    assert set(world.seen.lengths) <= {2, 3, 4}
    assert not set(world.classes.names) & set(world.unseen.names)
    np.testing.assert_array_equal(world.labels, np.repeat([0, 1, 2], 5))
