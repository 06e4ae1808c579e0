"""Features of UCF101 or HMDB51 whose ids are the dataset's own, so that its lists of videos apply."""

import numpy as np

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.video_lists import known_lists
from zslbench.features.catalog import open_features
from zslbench.features.importing import FeatureFiles, Provenance, import_features
from zslbench.semantics.class_vectors import open_semantics

UCF101 = get_dataset("ucf101")


def official_features(folder, name="official", noise=2.0, clips=None, seed=0, left_out=(), of="ucf101"):
    """Import features near the class vectors of minilm; of UCF101, ``clips`` of each source group are kept."""
    dataset = get_dataset(of)
    vectors = open_semantics("minilm", dataset).vectors
    known = known_lists(of).videos
    pairs = [
        (v, c)
        for c in dataset.classes
        for v in known[c]
        if v not in left_out and (clips is None or int(v[-2:]) <= clips)
    ]
    labels = np.array([dataset.label_of[c] for _, c in pairs])
    rng = np.random.default_rng(seed)
    frames = vectors[labels] + noise / np.sqrt(vectors.shape[1]) * rng.normal(size=(len(pairs), vectors.shape[1]))
    folder.mkdir(exist_ok=True)
    np.save(folder / "x.npy", frames.astype(np.float16))
    (folder / "x.csv").write_text("video,class\n" + "".join(f"{v},{c}\n" for v, c in pairs))
    files = FeatureFiles(folder / "x.npy", folder / "x.csv")
    import_features(dataset, name, files, Provenance("made", ("nothing",)))
    return open_features(dataset, name)
