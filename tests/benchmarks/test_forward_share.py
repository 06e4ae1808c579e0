"""The share of an extraction in which the network computes: real clips, a network of real size with random weights."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

SIZED = {
    "clip": ("CLIPConfig", "CLIPImageProcessor"),  # ViT-B/32, 8 frames a video
    "videomae": ("VideoMAEConfig", "VideoMAEImageProcessor"),  # ViT-B, clips of 16 frames
}


def write_sized(folder, kind):
    """Write a network of the published size, with random weights and the published preprocessing."""
    import torch
    import transformers
    from clip_made import write_tokenizer
    from models_made import PROCESSOR

    folder.mkdir(parents=True)
    text = {"vocab_size": write_tokenizer(folder), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config, processor = SIZED[kind]
    values = {"text_config": text} if kind == "clip" else {}
    torch.manual_seed(0)
    transformers.AutoModel.from_config(getattr(transformers, config)(**values)).save_pretrained(folder)
    size = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    made = json.dumps({**PROCESSOR, **size, "image_processor_type": processor})
    (folder / "preprocessor_config.json").write_text(made)
    return folder


def measure(model, clips, videos, workers, **more):
    """Extract in this process; print seconds, those of the forward pass, processor time and peak memory.

    ``running`` counts from the first batch of videos on, without the start of the decoding processes.
    """
    import psutil

    from zslbench.datasets.dataset import Dataset
    from zslbench.video.backbones.transformers_model import TransformersModel
    from zslbench.video.extract import extract
    from zslbench.video.folders import VideoFile
    from zslbench.video.recipe import make_recipe

    paths = sorted(Path(clips).glob("*/*.avi")) or sorted(Path(clips).glob("*/*"))
    files = [VideoFile(path.stem, path, "jump") for path in paths[: int(videos)]]
    computed, first = [0.0, 0.0], []
    real, peaks, noise = TransformersModel.forward, [0], []

    def forward(self, batch):
        peaks[0] = max(peaks[0], sum(_rss(each) for each in psutil.Process().children(recursive=True)))
        first.append(time.perf_counter())
        wall, cpu = time.perf_counter(), time.process_time()
        made = real(self, batch)
        noise[:] = noise or [time.perf_counter() - wall]
        computed[0] += time.perf_counter() - wall
        computed[1] += time.process_time() - cpu
        return made

    recipe = make_recipe("transformers", weights=Path(model), device="cpu", **more)
    recipe.open_backbone().dim  # noqa: B018 - loads the network
    TransformersModel.forward = forward
    start, cpu = time.perf_counter(), os.times()
    extract(files, Dataset("bench", "B", ("jump",), {"plain": {"jump": "jump"}}), "x", recipe, workers=workers)
    end, now = time.perf_counter(), os.times()
    took, running = end - start, end - first[1]  # the first forward pass is that of noise
    own = now.user + now.system - cpu.user - cpu.system
    print(json.dumps({
        "videos": len(files), "seconds": took, "forward": computed[0], "share": computed[0] / took,
        "running_share": (computed[0] - noise[0]) / running,
        "own_processor": own, "forward_processor": computed[1], "own_share": computed[1] / own,
        "children_processor": now.children_user + now.children_system - cpu.children_user - cpu.children_system,
        "MiB": int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024,
        "children_MiB": peaks[0] / 2**20,
    }))  # fmt: skip


def _rss(process):
    with contextlib.suppress(Exception):
        return process.memory_info().rss
    return 0


def measured(model, clips, videos, workers, root):
    """Return what :func:`measure` finds in a process of its own."""
    here = Path(__file__).parent
    child = f"import sys; sys.path[:0] = {[str(here), str(here.parent)]!r}\nfrom test_forward_share import measure\n"
    child += f"if __name__ == '__main__': measure({str(model)!r}, {str(clips)!r}, {videos}, {workers})"
    environment = {**os.environ, "ZSLBENCH_DATA_ROOT": str(root), "OMP_WAIT_POLICY": "PASSIVE"}
    for each in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # conftest.py sets them to 1
        environment.pop(each, None)
    done = subprocess.run([sys.executable, "-c", child], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "videos"), [("clip", 108), ("videomae", 8)])
def test_share_of_the_forward_pass(benchmark, tmp_path, shared_data, kind, videos):
    model, clips = write_sized(tmp_path / kind, kind), shared_data / "utd-mhad" / "clips"
    here = measured(model, clips, videos, None, tmp_path / "none")
    two = benchmark.pedantic(measured, args=(model, clips, videos, 2, tmp_path / "two"), rounds=1)
    found = {f"{name}_{key}": value for name, each in (("none", here), ("two", two)) for key, value in each.items()}
    benchmark.extra_info |= found | {"wanted": "two_running_share above 0.85"}
