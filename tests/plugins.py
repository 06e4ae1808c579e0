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

HOSTILE = """
import ctypes, os, signal, subprocess, sys, threading, time
import numpy as np
from zslbench.method import Method, MethodInfo, MethodParams


class Good(Method):
    info = MethodInfo(name="good", summary="Fits at once.")

    class Params(MethodParams):
        note: str = ""
        seconds: float = 0

    def fit(self, seen, classes, target, report):
        if self.params.note:
            with open(self.params.note, "a") as file:
                file.write("fit\\n")
        time.sleep(self.params.seconds)
        self.harm()

    def harm(self):
        pass

    def score(self, videos, classes):
        return videos.pooled()[:, :1] * np.arange(1, len(classes) + 1)


class Own(BaseException):
    pass


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError


def harmful(function):
    name = function.__name__.replace("_", "-")
    info = MethodInfo(name=name, summary="Does harm.")
    made = type(function.__name__, (Good,), {"info": info, "harm": function, "__module__": __name__})
    return made


@harmful
def own_class(self):
    raise Own("of its own")


@harmful
def ctrl_c(self):
    raise KeyboardInterrupt


@harmful
def surrogate(self):
    raise ValueError("lone \\ud800")


@harmful
def nul(self):
    raise ValueError("nul \\0 and \\x1b[31m")


@harmful
def endless(self):
    raise ValueError("x" * 100_000)


@harmful
def speechless(self):
    raise Speechless


@harmful
def leaves(self):
    os._exit(0)


@harmful
def crashes(self):
    ctypes.string_at(0)


@harmful
def is_killed(self):
    os.kill(os.getpid(), signal.SIGKILL)


@harmful
def kills_the_keeper(self):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


@harmful
def closes_all(self):
    os.closerange(3, 1000)
    time.sleep(60)


@harmful
def closes_output(self):
    os.close(1)
    os.close(2)


@harmful
def replaces_output(self):
    sys.stdout, sys.stderr = None, open("/dev/full", "w")


@harmful
def leaves_a_thread(self):
    threading.Thread(target=time.sleep, args=(3600,)).start()


@harmful
def leaves_children(self):
    for new_session in (False, True):
        child = subprocess.Popen(["sleep", "3600"], start_new_session=new_session)
        with open(os.environ["CHILDREN"], "a") as file:
            file.write(f"{child.pid}\\n")


@harmful
def changes_folder(self):
    os.chdir("/")


@harmful
def prints(self):
    print("from Python")
    os.system("echo from a child >&2")


@harmful
def cheats_for_all(self):
    from zslbench.run import evaluate
    evaluate._scores = lambda method, task, report: np.eye(len(task.test_classes))[task.labels]
"""
HARMFUL = [
    "own-class", "ctrl-c", "surrogate", "nul", "endless", "speechless", "leaves", "crashes", "is-killed",
    "kills-the-keeper", "closes-all", "closes-output", "replaces-output", "leaves-a-thread", "leaves-children",
    "changes-folder", "prints", "cheats-for-all",
]  # fmt: skip
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


def install_hostile(folder: Path) -> Path:
    """Install one good method and those that do harm to their process."""
    entries = {name: f"hostile:{name.replace('-', '_')}" for name in HARMFUL} | {"good": "hostile:Good"}
    return install(folder, "hostile", HOSTILE, entries)
