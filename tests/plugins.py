"""Write plugins into a folder that a child process finds on its PYTHONPATH, as if they were installed."""

from pathlib import Path

MISBEHAVING = """
import os, time
import numpy as np
from zslbench.method import Method, MethodInfo, MethodParams


def scores(videos, classes):
    return videos.pooled()[:, :1] * np.arange(1, len(classes) + 1)


class Good(Method):
    info = MethodInfo(name="good", summary="Fits at once.")

    def fit(self, seen, classes, target, report):
        pass

    def score(self, videos, classes):
        return scores(videos, classes)


class Slow(Good):
    info = MethodInfo(name="slow", summary="Takes a while and counts its fits.")

    class Params(MethodParams):
        seconds: float = 0.4
        log: str = ""

    def fit(self, seen, classes, target, report):
        time.sleep(self.params.seconds)
        with open(self.params.log, "a") as log:
            log.write("fit\\n")


class Raises(Good):
    info = MethodInfo(name="raises", summary="Raises.")

    def fit(self, seen, classes, target, report):
        raise RuntimeError("the method's own mistake")


class Exits(Good):
    info = MethodInfo(name="exits", summary="Kills its process.")

    def fit(self, seen, classes, target, report):
        os._exit(7)


class Sleeps(Good):
    info = MethodInfo(name="sleeps", summary="Never comes back.")

    def fit(self, seen, classes, target, report):
        time.sleep(3600)


class Hoards(Good):
    info = MethodInfo(name="hoards", summary="Takes all the memory it can get.")

    def fit(self, seen, classes, target, report):
        kept = []
        for _ in range(400):
            kept.append(np.ones(2**21))  # 16 MiB each
            time.sleep(0.02)
"""
NAMES = {"good": "Good", "slow": "Slow", "raises": "Raises", "exits": "Exits", "sleeps": "Sleeps", "hoards": "Hoards"}


def install(folder: Path, name: str, source: str, entry_points: dict[str, str]) -> Path:
    """Make ``folder`` hold an importable, discoverable package of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{alias} = {target}\n" for alias, target in entry_points.items())
    (info / "entry_points.txt").write_text(f"[zslbench.methods]\n{lines}")
    return folder


def install_misbehaving(folder: Path) -> Path:
    """Install the methods that raise, exit, sleep and hoard."""
    return install(folder, "misbehaving", MISBEHAVING, {n: f"misbehaving:{c}" for n, c in NAMES.items()})
