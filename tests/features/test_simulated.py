import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features.simulated import DIM, SLOTS, simulate

PINNED_FIRST = [2.0469, -2.3418, -0.9727]
PINNED_FRAMES = 16593


@pytest.fixture
def features():
    return simulate(get_dataset("hmdb51"))


def test_the_videos_are_a_quarter_of_the_real_ones_in_each_class_and_as_short(features):
    real = get_dataset("hmdb51").videos_per_class
    assert features.counts == {name: -(-count // 4) for name, count in real.items()}
    lengths = features.store.lengths
    assert lengths.min() >= 1
    assert SLOTS / 2 < lengths.max() <= SLOTS
    assert 7 < np.median(lengths) < 11  # of Action2Vec's 52 slots: most of them would be padding
    assert features.manifest.simulated
    assert features.manifest.dim == DIM


def test_it_is_the_same_on_every_machine(features):
    # Pinned: the digest of the manifest holds the checksums of the files.
    frames = features.store.frames
    assert frames[0, :3].astype(float) == pytest.approx(PINNED_FIRST, abs=2e-3)
    assert features.manifest.n_frames == PINNED_FRAMES


def test_it_is_generated_once(features):
    before = (features.path / "features.npy").stat().st_mtime_ns
    assert (simulate(get_dataset("hmdb51")).path / "features.npy").stat().st_mtime_ns == before


def test_another_size_gets_another_name():
    small = simulate(get_dataset("olympicsports16"), name="simulated-3", videos_per_class=3)
    assert set(small.counts.values()) == {3}


def test_a_full_set_has_as_many_videos_as_the_real_one_and_never_passes_for_the_small_one(features):
    dataset = get_dataset("hmdb51")
    assert simulate(dataset, name="real-size", full=True).counts == dataset.videos_per_class
    with pytest.raises(ZslbenchError, match="another number of videos"):
        simulate(dataset, full=True)


def test_real_features_are_never_taken_for_simulated_ones():
    from tiny import make_features

    make_features("olympicsports16", "simulated")
    with pytest.raises(ZslbenchError, match="not simulated"):
        simulate(get_dataset("olympicsports16"))


def test_order_carries_information_that_a_mean_destroys(features):
    """Between two halves of a video the class offset changes; over the whole video it sums to nothing."""
    rows = np.flatnonzero(features.labels == 3)
    halves = []
    for row in rows:
        frames = features.store.gather(np.array([row]))
        if len(frames) >= 8:
            half = len(frames) // 2
            halves.append(frames[:half].mean(axis=0) - frames[-half:].mean(axis=0))
    halves = np.stack(halves)
    standard_error = halves.std(axis=0, ddof=1) / np.sqrt(len(halves))
    # Without order the standardised differences would have a mean square of 1.
    assert np.mean((halves.mean(axis=0) / standard_error) ** 2) > 20


@pytest.mark.slow
def test_pooled_ridge_lands_where_the_calibration_says(features):
    from zslbench.method import Report
    from zslbench.run.evaluate import cached_features, evaluate
    from zslbench.run.experiment import make_experiment
    from zslbench.run.plan import make_plan

    cached_features.cache_clear()
    settings = {"method": "ridge", "dataset": "hmdb51", "family": "random-50/50", "splits": "4"}
    cells = make_plan(make_experiment(settings | {"set": {"ridge": {"alpha": 10.0}}}), simulate=simulate).cells
    top1 = np.mean([evaluate(cell, Report()).result.metrics["top1"] for cell in cells])
    assert 0.15 < top1 < 0.35
