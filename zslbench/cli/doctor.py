"""``zslbench doctor``: show what is installed and present, and how to get the rest."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path

import click

from zslbench.cli._console import RESULTS, table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.compute import native_bfloat16
from zslbench.features.catalog import list_features
from zslbench.files import DATA_ROOT_VARIABLE, data_root
from zslbench.registry import DATASETS, METHODS
from zslbench.version import __version__

_OPTIONAL = (  # its name, its module, and the extra that installs it
    ("PyAV", "av", "video"),
    ("OpenCV", "cv2", "video"),
    ("transformers", "transformers", "clip"),
    ("open_clip", "open_clip", "open-clip"),
    ("onnxruntime", "onnxruntime", "onnx"),
    ("dask-jobqueue", "dask_jobqueue", "cluster"),
    ("Optuna", "optuna", "tune"),
)


@click.command(cls=Verb, examples=["zslbench doctor"])
@RESULTS
def command(results: Path) -> None:
    """Show what is installed and present, and how to get the rest."""
    import psutil

    from zslbench.run.runner import environment

    known = environment()
    rows = [("zslbench", __version__), ("python", f"{known['python']} ({sys.executable})")]
    rows += [(name, version or "MISSING: pip install zslbench") for name, version in known["packages"].items()]
    rows += _optional()
    memory = psutil.virtual_memory().total / 2**30
    rows.append(("processor", f"{known['processor']}, {os.cpu_count()} cores, {memory:.0f} GiB of memory"))
    rows.append(("devices", _devices()))
    # A path has a line of its own: a console shows only the ends of very long ones.
    rows += [("data root", str(data_root())), ("", _space(data_root(), f"set {DATA_ROOT_VARIABLE} to move it"))]
    rows += [("results", str(results)), ("", _space(results, "--results or ZSLBENCH_RESULTS moves them"))]
    table(rows, ("what", "here"))
    echo()
    table(_resources(), ("resource", "present", "how to get it"))
    for listed in (*METHODS, *DATASETS):
        if listed.problem:
            echo(f"\nunusable: {listed.problem}")


def _optional() -> list[tuple[str, str]]:
    """Return the versions of optional packages, found by module: four packages install OpenCV's ``cv2``."""
    installed = packages_distributions()
    return [
        (name, ", ".join(f"{version(package)} ({package})" for package in dict.fromkeys(installed.get(module, ())))
         or f"not installed: pip install 'zslbench[{extra}]'")
        for name, module, extra in _OPTIONAL
    ]  # fmt: skip


def _devices() -> str:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    gpus += ["mps"] * torch.backends.mps.is_available()
    return f"cpu {'with' if native_bfloat16('cpu') else 'without'} bfloat16, {', '.join(gpus) or 'no GPU'}"


def _space(path: Path, remedy: str) -> str:
    # The folder may not exist yet; its nearest existing parent is on the same disk.
    existing = next(p for p in (path, *path.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free / 2**30
    writable = "" if os.access(existing, os.W_OK) else ", NOT WRITABLE"
    return f"{free:.0f} GiB free{writable}; {remedy}"


def _resources() -> list[tuple[str, str, str]]:
    from zslbench.semantic_tests.wordnet_data import find_wordnet
    from zslbench.semantics.store import list_semantics

    rows = []
    for listed in DATASETS:
        if listed.plugin is None:
            continue
        sets = [name for _, name in list_features(listed.name)]
        present = ", ".join(sets) if sets else "none: `run` simulates them"
        rows.append(
            (
                f"features of {listed.name}",
                present,
                f"zslbench features import {listed.name} NAME --features FILE, or zslbench extract",
            )
        )
    sources = [manifest.name for manifest in list_semantics()]
    rows.append(("class vectors", ", ".join(["minilm (shipped)", *sources]), "zslbench semantics import NAME FILE"))
    wordnet = find_wordnet()
    rows.append(("WordNet", str(wordnet) if wordnet else "none", "zslbench resources wordnet (for the semantic tests)"))
    return rows
