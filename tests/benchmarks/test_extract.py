"""Extraction: workers against one, what it costs beside a bare loop, and its memory."""

import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from videos_rendered import encode

from zslbench.datasets.dataset import Dataset
from zslbench.video.backbones.motion import Motion
from zslbench.video.extract import extract
from zslbench.video.folders import VideoFile
from zslbench.video.recipe import make_recipe

DATASET = Dataset("bench", "Bench", ("jump",), {"plain": {"jump": "jump"}})
SAMPLING = {"sampler": {"fps": None, "max_seconds": None, "n_slots": None, "clip_stride": 16, "tail": "drop"}}


def write_videos(folder, n, frames=64, size=(240, 320)):
    """Write n files of textures that move, 240 x 320; all differ, for equal pairs of frames are computed once."""
    folder.mkdir(exist_ok=True)
    files = []
    for i in range(n):
        texture = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        texture = texture.repeat(8, axis=0).repeat(8, axis=1)
        path = folder / f"v{i:03d}.mp4"
        encode(path, np.stack([texture[t % 200 :, 2 * t % 300 :][: size[0], : size[1]] for t in range(frames)]))
        files.append(VideoFile(path.stem, path, "jump"))
    return files


def bare_loop(files):
    """What one would write first: decode with PyAV, cut clips of 16 frames, and give them to the backbone."""
    backbone = Motion()
    for file in files:
        clips, clip = [], []
        with av.open(str(file.path)) as container:
            for frame in container.decode(video=0):
                clip.append(frame.to_ndarray(format="rgb24"))
                if len(clip) == 16:
                    clips.append(np.stack(clip))
                    clip = []
        backbone.extract(clips)


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.slow
def test_extraction_beside_a_bare_loop(benchmark, tmp_path):
    files, names = write_videos(tmp_path, 16), iter("abcdefgh")
    run = lambda: extract(files, DATASET, next(names), make_recipe("motion", settings=SAMPLING), shard=8)  # noqa: E731
    bare = []
    benchmark.pedantic(run, setup=lambda: bare.append(seconds(lambda: bare_loop(files))), rounds=3)
    ratio = benchmark.stats.stats.min / min(bare)
    benchmark.extra_info |= {"bare_loop": min(bare), "extra_share": ratio - 1, "wanted": "an extra share below 0.15"}


@pytest.mark.slow
def test_two_workers_against_one(benchmark, tmp_path):
    """The start of the workers, with a video each, is told apart and taken off."""
    files, count = write_videos(tmp_path, 40), iter(range(99))
    recipe = make_recipe("motion", settings=SAMPLING)

    def run(workers, chosen=files):
        extract(chosen, DATASET, f"x{next(count)}", recipe, shard=4, workers=workers)

    start_up = {1: seconds(lambda: run(1, files[:1])), 2: seconds(lambda: run(2, files[:2]))}
    one = seconds(lambda: run(1)) - start_up[1]
    benchmark.pedantic(run, args=(2,), rounds=1)
    two = benchmark.stats.stats.min - start_up[2]
    found = {"start_up": start_up[2], "one_worker": one, "two_workers": two, "videos_a_second": len(files) / two}
    benchmark.extra_info |= found | {"speed_up": one / two, "wanted": "a speed-up of 1.6 at least"}


CHILD = """
import re, sys
sys.path[:0] = {path!r}
from benchmark_extract import DATASET, SAMPLING, VideoFile, extract, make_recipe
from pathlib import Path
files = [VideoFile(path.stem, path, "jump") for path in sorted(Path(sys.argv[1]).glob("*.mp4"))]
extract(files, DATASET, "x", make_recipe("motion", settings=SAMPLING), shard=4)
# Not getrusage: its peak is that of the process that started this one, if that was larger.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""


@pytest.mark.slow
def test_peak_memory_in_number_and_length_of_videos(benchmark, tmp_path, monkeypatch):
    peaks = {}
    for name, n, frames in (("base", 4, 320), ("4n", 16, 320), ("4L", 4, 1280)):
        monkeypatch.setenv("ZSLBENCH_DATA_ROOT", str(tmp_path / name))
        write_videos(tmp_path / f"videos-{name}", n, frames)
        (tmp_path / "benchmark_extract.py").write_text(Path(__file__).read_text())
        child = CHILD.format(path=[str(tmp_path), str(Path(__file__).parents[1])])
        line = [sys.executable, "-c", child, str(tmp_path / f"videos-{name}")]
        run = lambda: subprocess.run(line, check=True, capture_output=True, text=True).stdout  # noqa: B023, E731
        peaks[name] = float(benchmark.pedantic(run, rounds=1) if name == "base" else run())
    found = {f"{name}_MiB": peak for name, peak in peaks.items()}
    ratios = {"ratio_4n": peaks["4n"] / peaks["base"], "ratio_4L": peaks["4L"] / peaks["base"]}
    benchmark.extra_info |= found | ratios | {"wanted": "ratios near 1"}
