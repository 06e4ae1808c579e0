"""Tiny features projected by a PCA, and cells on them."""

import pytest
from tiny import plan

from zslbench.datasets.catalog import get_dataset
from zslbench.features.catalog import derive_features
from zslbench.run import inputs
from zslbench.run.inputs import cached_features

HMDB51 = get_dataset("hmdb51")
K = 6
SEQUENCE = {"hidden1": 16, "hidden2": 8, "attn_units": 4, "epochs": 1, "min_batches": 1}


@pytest.fixture(autouse=True)
def fresh_caches():
    cached_features.cache_clear()
    inputs._cached_vectors.cache_clear()


def derived(fit="seen", name="small", **options):
    return derive_features(HMDB51, "tiny", name, k=K, fit=fit, **options)


def cell_of(features="small", method="ridge", **more):
    (cell,) = plan(method=method, features=features, splits="1", **more)
    return cell
