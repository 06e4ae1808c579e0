"""A toy dataset of six videos, and how to import features of it."""

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.feature_set import feature_path
from zslbench.features.importing import FeatureFiles, Provenance, import_features

CLASSES = ("Archery", "Bowling", "CleanAndJerk", "YoYo")
PER_CLASS = {"Archery": 3, "Bowling": 2, "CleanAndJerk": 2, "YoYo": 5}
TOY = Dataset("toy", "Toy", CLASSES, {"plain": {}}, videos_per_class=PER_CLASS)
IDS = ["a1", "b1", "a2", "c1", "a3", "c2"]  # not sorted: the CSV's order counts
LABELS = ["Archery", "Bowling", "Archery", "clean and jerk", "archery", "Clean_And-Jerk"]
RNG = np.random.default_rng(0)
POOLED = RNG.normal(size=(6, 4)).astype(np.float32)
SEQUENCES = RNG.normal(size=(6, 3, 4)).astype(np.float32)
LENGTHS = np.array([2, 1, 4, 3, 1, 2])
RAGGED = np.split(RNG.normal(size=(LENGTHS.sum(), 4)).astype(np.float32), np.cumsum(LENGTHS)[:-1])


def write_csv(path, rows=None, header="video,class,group,official"):
    rows = rows or [
        f"{v},{c},g{i},{('train', 'test')[i % 2]}" for i, (v, c) in enumerate(zip(IDS, LABELS, strict=True))
    ]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def save(array, path):
    np.save(path, array)
    return path


def bring(source, csv, name="x", **options):
    how = {name: options.pop(name) for name in ("replace", "progress") if name in options}
    provenance = Provenance("e", tuple(options.pop("trained_on", ())))
    return import_features(TOY, name, FeatureFiles(source, csv, **options), provenance, **how)


def refused(source, csv, **options):
    """Return the sentence of a refused import, after checking that it left nothing."""
    with pytest.raises(ZslbenchError) as error:
        bring(source, csv, **options)
    folder = feature_path("toy", "x").parent
    assert not folder.exists() or list(folder.iterdir()) == []
    assert "\n" not in str(error.value)
    return str(error.value)


def frames_of(features):
    videos = [features.store.gather(np.array([i])) for i in range(len(features.ids))]
    return dict(zip(features.ids, videos, strict=True))


def cells(values):
    array = np.empty((len(values), 1), dtype=object)
    array[:, 0] = values
    return array


def write(path, **arrays):
    """Save arrays and lists of strings in the way that is usual for the format."""
    match path.suffix:
        case ".npz":
            np.savez(path, **arrays)
        case ".pt":
            torch.save({k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}, path)
        case ".mat":
            scipy.io.savemat(path, {k: v if isinstance(v, np.ndarray) else cells(v) for k, v in arrays.items()})
        case ".h5":
            with h5py.File(path, "w") as file:
                for name, values in arrays.items():
                    file[name] = values
    return path


FILES = ["f.npz", "f.pt", "f.mat", "f.h5"]
