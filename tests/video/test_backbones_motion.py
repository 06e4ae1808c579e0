"""The motion descriptors against a slow reference, and what they do on moving shapes."""

import math

import numpy as np
import pytest

from zslbench.errors import ZslbenchError
from zslbench.video.backbones.motion import BLOCKS, Motion, directions, gradient

cv2 = pytest.importorskip("cv2")
RIGHT, DOWN, LEFT, UP = 0, 2, 4, 6


def texture(height=200, width=240, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4).astype(np.float32)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (smooth * 235 + 10).astype(np.uint8)


def moving(dx, dy, n=9, side=128):
    """A textured scene of which the camera's view moves, so that the picture moves by (dx, dy) a frame."""
    scene = texture()
    return np.stack([scene[40 - dy * t :, 60 - dx * t :][:side, :side] for t in range(n)])


def blocks(feature, cells):
    """The descriptors of a feature, each (cells, bins)."""
    sizes = [int(np.prod(cells)) * bins for _, bins in BLOCKS]
    parts = np.split(feature, np.cumsum(sizes)[:-1])
    return {name: part.reshape(-1, bins) for (name, bins), part in zip(BLOCKS, parts, strict=True)}


def slow_features(clip, params):
    """The descriptors by loops over pixels; the flow itself is OpenCV's."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
    height, width = grey[0].shape
    times, down, across = params.cells
    sums = {name: np.zeros((times * down * across, bins)) for name, bins in BLOCKS}
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    n = len(grey) - 1

    def vote(histogram, x, y):
        angle = math.atan2(y, x) % (2 * math.pi)
        place = angle / (2 * math.pi) * 8
        low = int(place)
        histogram[low % 8] += math.hypot(x, y) * (1 - (place - low))
        histogram[(low + 1) % 8] += math.hypot(x, y) * (place - low)

    def difference(image, i, j):
        x = float(image[i, j + 1]) - float(image[i, j - 1]) if 0 < j < width - 1 else 0.0
        y = float(image[i + 1, j]) - float(image[i - 1, j]) if 0 < i < height - 1 else 0.0
        return x, y

    for t in range(n):
        field = flow.calc(grey[t], grey[t + 1], None)
        for i in range(height):
            for j in range(width):
                cell = (t * times // n * down + i * down // height) * across + j * across // width
                vote(sums["hog"][cell], *difference(grey[t], i, j))
                u, v = map(float, field[i, j])
                if math.hypot(u, v) > params.rest:
                    vote(sums["hof"][cell], u, v)
                else:
                    sums["hof"][cell][8] += 1
                vote(sums["mbhx"][cell], *difference(field[..., 0], i, j))
                vote(sums["mbhy"][cell], *difference(field[..., 1], i, j))
    parts = []
    for name, _ in BLOCKS:
        root = np.sqrt(sums[name]).ravel()
        parts.append(root / np.linalg.norm(root))
    return np.concatenate(parts)


def test_the_descriptors_equal_a_loop_over_pixels():
    clip = np.stack([texture(48, 40)[4 + t : 36 + t, 3 + 2 * (t % 2) : 35 + 2 * (t % 2)] for t in range(5)])
    backbone = Motion({"size": 32, "cells": (2, 2, 3)})
    got = backbone.extract([clip])[0]
    assert got.shape == (backbone.dim,) == (2 * 2 * 3 * 33,)
    np.testing.assert_allclose(got, slow_features(clip, backbone.params), atol=1e-4)


@pytest.mark.parametrize(("step", "bin_"), [((2, 0), RIGHT), ((-2, 0), LEFT), ((0, 2), DOWN), ((0, -2), UP)])
def test_hof_tells_the_direction_of_motion_in_every_cell(step, bin_):
    backbone = Motion()
    hof = blocks(backbone.extract([moving(*step)])[0], backbone.params.cells)["hof"]
    assert (hof[:, :8].argmax(axis=1) == bin_).all()


def test_a_clip_at_rest_has_no_motion_and_the_hog_of_its_picture():
    backbone = Motion()
    got = blocks(backbone.extract([moving(0, 0)])[0], backbone.params.cells)
    assert not got["hof"][:, :8].any()
    assert not got["mbhx"].any()
    assert not got["mbhy"].any()
    assert np.linalg.norm(got["hof"][:, 8]) == pytest.approx(1)
    assert np.linalg.norm(got["hog"]) == pytest.approx(1)


def test_uniform_motion_has_far_less_motion_boundary_than_a_shape_that_moves_over_a_scene():
    scene, shape = texture()[:128, :128], texture(seed=1)[:40, :40]
    over = []
    for t in range(9):
        frame = scene.copy()
        frame[44:84, 20 + 3 * t : 60 + 3 * t] = shape
        over.append(frame)
    backbone = Motion()

    def boundary(clip):
        grey = backbone.grey(clip)
        flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        steps = [backbone._step(grey[t], flow.calc(grey[t], grey[t + 1], None)) for t in range(len(grey) - 1)]
        return sum(step[:, -16:].sum() for step in steps)

    assert boundary(np.stack(over)) > 3 * boundary(moving(2, 0))


def test_brightness_and_contrast_matter_little():
    clip = moving(2, 1)
    dimmed = (clip * 0.7 + 20).astype(np.uint8)
    features = Motion().extract([clip, dimmed, moving(-2, 1)])
    assert features[0] @ features[1] > 0.98 * (features[0] @ features[0])
    assert features[0] @ features[2] < 0.9 * (features[0] @ features[0])


def test_where_and_when_something_moves_is_kept():
    still, step = moving(0, 0), moving(3, 0)
    late = np.concatenate([still[:5], step[:5]])
    early = np.concatenate([step[:5], np.repeat(step[4:5], 5, axis=0)])
    backbone = Motion({"cells": (2, 1, 1)})
    hof = [blocks(row, (2, 1, 1))["hof"][:, RIGHT] for row in backbone.extract([late, early])]
    assert hof[0][1] > 5 * hof[0][0]
    assert hof[1][0] > 5 * hof[1][1]


def test_features_depend_neither_on_threads_nor_on_the_other_clips_of_a_batch():
    video = moving(1, 1, n=20)
    clips = [video[:16], video[4:20], moving(-1, 0, n=16)]
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        together = Motion().extract(clips)
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
    alone = np.concatenate([Motion({"batch_size": 1}).extract([clip]) for clip in clips])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("shape", [(90, 300), (300, 90), (17, 23), (480, 640), (2, 400), (128, 900)])
def test_frames_of_any_size_give_finite_features_of_unit_blocks(shape):
    clip = np.stack([texture(*shape, seed=t // 2) for t in range(4)])
    backbone = Motion()
    got = backbone.extract([clip])
    assert got.shape == (1, 594)
    assert got.dtype == np.float32
    for block in blocks(got[0], backbone.params.cells).values():
        assert np.linalg.norm(block) == pytest.approx(1, abs=1e-5)
    sides = backbone.grey(clip).shape[1:]
    assert (min(sides), max(sides)) == (128, min(round(128 * max(shape) / min(shape)), 512))


def test_one_frame_has_no_motion_and_is_refused():
    with pytest.raises(ZslbenchError, match="at least 2 frames"):
        Motion().extract([moving(0, 0, n=1)])


def test_weights_for_motion_are_refused(tmp_path):
    with pytest.raises(ZslbenchError, match="motion has no weights"):
        Motion(weights=tmp_path / "weights.pt")


def test_a_gpu_for_motion_is_refused():
    with pytest.raises(ZslbenchError, match="motion computes on the processor only; leave out --device cuda"):
        Motion(device="cuda")
    Motion(device="auto")


def test_a_vector_is_shared_between_its_two_nearest_directions():
    cell = np.zeros((1, 1), dtype=np.int64)

    def one(x, y):
        return directions(np.float32([[x]]), np.float32([[y]]), cell, 1)[0]

    np.testing.assert_allclose(one(3, 0), [3, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(one(-2, 0), [0, 0, 0, 0, 2, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(one(0, -1), [0, 0, 0, 0, 0, 0, 1, 0], atol=1e-6)
    x, y = math.cos(math.radians(-11.25)), math.sin(math.radians(-11.25))  # a quarter of the way from right to up
    np.testing.assert_allclose(one(x, y), [0.75, 0, 0, 0, 0, 0, 0, 0.25], atol=1e-6)


def test_gradients_are_differences_of_neighbours_and_zero_at_the_border():
    ramp = np.arange(12, dtype=np.uint8).reshape(3, 4) * 2
    x, y = gradient(ramp)
    np.testing.assert_array_equal(x, [[0, 4, 4, 0]] * 3)
    np.testing.assert_array_equal(y, [[0] * 4, [16] * 4, [0] * 4])
