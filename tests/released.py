"""Splits and features as the GZSL literature releases them, of a few classes of HMDB51."""

import h5py
import numpy as np
import scipy.io

ORDER = ("wave", "chew", "run", "jump", "walk", "brush_hair", "climb", "eat")  # that of allclasses_names
PER_CLASS = 6
CLASSES = ORDER * PER_CLASS  # of each row
PATHS = [f"/data/hmdb51/{name}/{name}_clip_{i}.avi" for i, name in enumerate(CLASSES)]
IDS = [f"{name}_clip_{i}" for i, name in enumerate(CLASSES)]
LABELS = [ORDER.index(name) + 1 for name in CLASSES]


def write_mat(path, *, v73=False, **arrays):
    """Save arrays, and lists of texts as cell arrays, in MATLAB's format of version 5 or 7.3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not v73:
        content = {}
        for name, value in arrays.items():
            content[name] = np.asarray(value)
            if isinstance(value, list) and isinstance(value[0], str):
                content[name] = np.empty((len(value), 1), dtype=object)
                content[name][:, 0] = value
        scipy.io.savemat(path, content)
        return path
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in arrays.items():
            if isinstance(value, list) and isinstance(value[0], str):
                cells = np.empty((1, len(value)), dtype=h5py.ref_dtype)
                for i, text in enumerate(value):
                    cell = file.create_dataset(f"#refs#/{name}{i}", data=np.array([[ord(c)] for c in text], np.uint16))
                    cell.attrs["MATLAB_class"] = np.bytes_("char")
                    cells[0, i] = cell.ref
                file.create_dataset(name, data=cells, dtype=h5py.ref_dtype)
            else:
                file.create_dataset(name, data=np.asarray(value, dtype=float).T)
    if v73 != "without header":
        with path.open("r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path


def column(rows):
    """Return rows, counted from 0, as MATLAB has them."""
    return np.array([[row + 1] for row in rows], dtype=np.uint16)


def chosen(unseen, validation=()):
    """Return the ids of each side of a split: of each seen class, the first two videos are held out."""
    sides = {"trainval_loc": [], "test_seen_loc": [], "test_unseen_loc": [], "train_loc": [], "val_loc": []}
    for i, name in enumerate(CLASSES):
        if name in unseen:
            sides["test_unseen_loc"].append(i)
            continue
        sides["test_seen_loc" if i < 2 * len(ORDER) else "trainval_loc"].append(i)
        sides["val_loc" if name in validation else "train_loc"].append(i)
    return sides


def write_splits(path, sides, *, v73=False, **more):
    locs = {name: column(rows) for name, rows in sides.items() if rows}
    return write_mat(path, v73=v73, **{"allclasses_names": list(ORDER)} | locs | more)


def write_features(path, *, v73=False, **more):
    features = np.random.default_rng(0).normal(size=(16, len(CLASSES)))
    given = {"features": features, "labels": np.array(LABELS, dtype=float)[:, None], "image_files": PATHS} | more
    return write_mat(path, v73=v73, **{name: value for name, value in given.items() if value is not None})


def ids(rows):
    return {IDS[row] for row in rows}
