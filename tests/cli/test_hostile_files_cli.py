"""A damaged or hostile file ends every verb that reads it with one sentence and code 2."""

import resource
import time

import pytest
from faults.hostile import npz_bomb, write_all

from zslbench.semantics.store import list_semantics

# What reads which files. %s is the file.
READERS = {
    "features import toys x --features %s --videos videos.csv --extractor e": [".npy", ".npz", ".mat", ".h5", ".pt"],
    "features import toys x --features right.npy --videos %s --extractor e": [".csv", ".json", ".txt"],
    "semantics import x %s --dataset toys": [".npz", ".mat", ".csv"],
    "semantics import x %s": [".txt", ".bin", ".npy", ".pt"],
    "texts import toys x %s": [".json", ".toml"],
    "datasets add mine --file %s": [".toml", ".json"],
    "splits import toys x %s": [".json", ".toml"],
    "run --experiment %s": [".toml", ".json"],
    "embeddings query %s run": [".npz", ".txt", ".bin", ".csv"],
    "extract --dataset toys --videos . --annotations %s --backbone motion --name m": [".csv"],
    "reproduce %s": [".toml"],
}
CASES = [(args, suffix) for args, suffixes in READERS.items() for suffix in suffixes]


@pytest.fixture
def toys(tmp_path, monkeypatch, data_root):
    """A dataset of the classes that the hostile files name, and a right feature file with its videos."""
    monkeypatch.chdir(tmp_path)
    (data_root / "datasets").mkdir(parents=True)
    (data_root / "datasets" / "toys.toml").write_text("name = 'toys'\nclasses = ['wave', 'run', 'walk']\n")
    rows = "".join(f"v{i},{['wave', 'run', 'walk'][i % 3]}\n" for i in range(51))
    (tmp_path / "videos.csv").write_text(f"video,class\n{rows}")
    import numpy as np

    np.save("right.npy", np.ones((1, 2), np.float32))
    return tmp_path


@pytest.mark.parametrize(("args", "suffix"), CASES)
def test_a_hostile_file_is_one_sentence(args, suffix, toys, zslbench, data_root):
    failed = {}
    for wrong, path in write_all(toys, suffix).items():
        began = time.monotonic()
        code, out, err = zslbench(*args.replace("%s", str(path)).split())
        sentence = code == 2 and err.count("\n") == 1 and err[:-1].isprintable() and "Traceback" not in err
        left = [path.name for path in data_root.rglob("*") if path.is_file()] != ["toys.toml"]
        if not sentence or left or time.monotonic() - began > 5:
            failed[wrong] = code, out, err, left
    assert not failed


def test_an_archive_that_fills_the_memory_is_refused_before_it_is_unpacked(toys, zslbench):
    (toys / "bomb.npz").write_bytes(npz_bomb())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for args in (
        ("semantics", "import", "x", "bomb.npz", "--dataset", "toys"),
        ("features", "import", "toys", "x", "--features", "bomb.npz", "--videos", "videos.csv", "--extractor", "e"),
    ):
        code, _, err = zslbench(*args)
        assert (code, "would unpack to 1.1 GB" in err) == (2, True), err
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert list_semantics() == []
