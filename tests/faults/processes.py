"""Faults in whole processes: kills at any moment, several runs at once, methods that harm their process, MLflow."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import plugins
from faults.damage import BYTES
from faults.judge import Verdict, compared, heard, swept
from faults.steps import child, nothing
from faults.world import RUN, Said, World

from zslbench.cells.store import Store

KINDS: dict[str, Callable[[World, Random, Verdict], None]] = {}
_TRACKED = tuple(word for word in RUN if word != "--inline")
_SECONDS = 120
_ZSLBENCH = (sys.executable, "-c", "from zslbench.cli import main; main()")
_IN_MLFLOW = """
SELECT cell.value, metric.value FROM tags cell JOIN runs USING (run_uuid) JOIN latest_metrics metric USING (run_uuid)
WHERE cell.key = 'zslbench.cell_id' AND metric.key = 'top1' AND lifecycle_stage = 'active' AND status = 'FINISHED'
"""


def kind(name: str) -> Callable[[Callable[[World, Random, Verdict], None]], None]:
    """Register a kind of fault."""

    def register(function: Callable[[World, Random, Verdict], None]) -> None:
        KINDS[name] = function

    return register


class Running:
    """A command in processes of its own, which all have one mark in their environment."""

    def __init__(self, world: World, *args: object, path: Path | None = None) -> None:
        self.mark = f"FAULTS_MARK={uuid.uuid4().hex}"
        self.files = [world.place / f"{self.mark[-8:]}.{name}" for name in ("out", "err")]
        variables = {"FAULTS_MARK": self.mark[-32:], "CHILDREN": str(world.place / "children")}
        if path:
            variables["PYTHONPATH"] = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
        with self.files[0].open("wb") as out, self.files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [*_ZSLBENCH, *map(str, args), "--results", str(world.runs)],
                env=os.environ | variables, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    def others(self) -> Iterator[int]:
        """Yield the ids of all processes of the command that live."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                alive = (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and self.mark.encode() in (folder / "environ").read_bytes():
                    yield int(folder.name)

    def end(self, verdict: Verdict, *codes: int) -> Said:
        """Wait for the end of all processes, and check what they said."""
        try:
            code = self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            verdict.blame("traceback", "the command hangs")
            self.process.kill()
            code = self.process.wait()
        deadline = time.monotonic() + 20
        while left := list(self.others()):
            if time.monotonic() > deadline:
                verdict.blame("traceback", "processes are left behind")
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
        said = Said(code, *(path.read_text(errors="replace") for path in self.files))
        heard(verdict, said, "a process", *codes)
        for path in self.files:
            path.unlink()
        return said


def _start(world: World, rng: Random) -> str:
    """Bring the store into a state to start from."""
    world.reset()
    state = rng.choice(["nothing", "half"])
    if state == "nothing":
        shutil.rmtree(world.runs)
    else:
        for cell_id in sorted(world.before)[::2]:
            shutil.rmtree(world.runs / "cells" / cell_id)
    return state


def _kept(verdict: Verdict, world: World, finished: set[str], *, failed: bool = False) -> None:
    """Check that the finished cells are kept, that the next run makes the others, and MLflow has all of them once."""
    compared(verdict, world, world.before.keys() - finished, "after the fault", failed=failed)
    heard(verdict, world.say("leaderboard"), "leaderboard", 0, 2)
    said = child(world, nothing, -1, *RUN, "--results", world.runs)
    heard(verdict, said, "run again")
    compared(verdict, world, set(), "after the next run")
    _tracked(verdict, world)
    swept(verdict, world)


def _tracked(verdict: Verdict, world: World) -> None:
    """Compare MLflow's database with the store."""
    wanted = sorted((r.cell.id, r.result.metrics["top1"]) for r in Store(world.runs).records() if r.result.metrics)
    with contextlib.closing(sqlite3.connect(world.runs / "mlflow.db")) as connection:
        there = sorted(connection.execute(_IN_MLFLOW))
    ids = [cell_id for cell_id, _ in there]
    for cell_id, top1 in wanted:
        if ids.count(cell_id) != 1:
            verdict.blame(
                "duplicate" if cell_id in ids else "lost", f"MLflow has {ids.count(cell_id)} runs of {cell_id}"
            )
        elif (cell_id, top1) not in there:
            verdict.blame("silent", f"MLflow has another figure of {cell_id}")


@kind("process: run and all its children killed")
def _killed(world: World, rng: Random, verdict: Verdict) -> None:
    _kill(world, rng, verdict, everything=True)


@kind("process: run killed, not its children")
def _parent_killed(world: World, rng: Random, verdict: Verdict) -> None:
    _kill(world, rng, verdict, everything=False)


def _kill(world: World, rng: Random, verdict: Verdict, *, everything: bool) -> None:
    state = _start(world, rng)
    finished = {cell_id for cell_id, _ in world.look()}
    running, seconds = Running(world, *_TRACKED), rng.uniform(0.5, 9)
    verdict.what = f"{seconds:.2f} s, from {state}"
    time.sleep(seconds)
    for pid in (*running.others(),) if everything else (running.process.pid,):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    verdict.named = running.end(verdict, 0, -9).code != 0
    _kept(verdict, world, finished)


@kind("process: worker killed")
def _worker_killed(world: World, rng: Random, verdict: Verdict) -> None:
    _start(world, rng)
    running = Running(world, *_TRACKED, "--no-track", "--rerun", "all")
    deadline = time.monotonic() + rng.uniform(1, 6)
    while time.monotonic() < deadline and running.process.poll() is None:
        time.sleep(0.05)
    children = [pid for pid in running.others() if pid != running.process.pid]
    for pid in rng.sample(children, min(1, len(children))):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    said = running.end(verdict, 0, 1)
    verdict.named = said.code == 1
    verdict.what = f"one of {len(children)} children; exit code {said.code}"
    _kept(verdict, world, set(world.before), failed=said.code == 1)


@kind("process: SIGINT, SIGTERM, SIGSTOP and SIGCONT")
def _signals(world: World, rng: Random, verdict: Verdict) -> None:
    state = _start(world, rng)
    finished = {cell_id for cell_id, _ in world.look()}
    number, seconds = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGSTOP]), rng.uniform(0.5, 7)
    verdict.what = f"{number.name} after {seconds:.2f} s, from {state}"
    running = Running(world, *_TRACKED)
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.process.pid, number)
        if number == signal.SIGSTOP:
            time.sleep(1)
            os.kill(running.process.pid, signal.SIGCONT)
    verdict.named = running.end(verdict, 0, 130, -signal.SIGTERM, -signal.SIGINT).code != 0
    _kept(verdict, world, finished)


@kind("process: three runs at once")
def _three(world: World, rng: Random, verdict: Verdict) -> None:
    state = _start(world, rng)
    killed = rng.random() < 0.5
    verdict.what = f"from {state}" + (", one killed" if killed else "")
    finished = {cell_id for cell_id, _ in world.look()}
    others = [("--method", "sae"), (), ()]
    runs = [Running(world, *_TRACKED, *more) for more in rng.sample(others, 3)]
    if killed:
        time.sleep(rng.uniform(1, 10))
        with contextlib.suppress(ProcessLookupError):
            os.kill(runs[0].process.pid, signal.SIGKILL)
    for number, running in enumerate(runs):
        running.end(verdict, 0, *((-9,) if killed and not number else ()))
    verdict.named = killed
    extra = {r.cell.id for r in Store(world.runs).records() if r.cell.method == "sae"}
    if not killed and len(extra) != 4:
        verdict.blame("lost", f"{len(extra)} of 4 cells of one run")
    for cell_id in extra:
        shutil.rmtree(world.runs / "cells" / cell_id)
        shutil.rmtree(world.runs / "models" / cell_id, ignore_errors=True)
    compared(verdict, world, set() if not killed else world.before.keys() - finished, "after the runs")
    _kept(verdict, world, finished)


@kind("MLflow: killed while its database is made or filled")
def _sync_killed(world: World, rng: Random, verdict: Verdict) -> None:
    world.reset()
    seconds = rng.uniform(0, 4)
    verdict.what = f"after {seconds:.2f} s"
    verdict.named = child(world, nothing, -1, "track", "sync", "--results", world.runs, seconds=seconds).code != 0
    _kept(verdict, world, set(world.before))


@kind("MLflow: database damaged")
def _database_damaged(world: World, rng: Random, verdict: Verdict) -> None:
    world.reset()
    database = world.runs / "mlflow.db"
    shutil.copyfile(world.pristine / "mlflow.db", database)
    verdict.what = rng.choice(list(BYTES.values()))(database, rng)
    command = rng.choice([("track", "sync"), RUN])
    said = child(world, nothing, -1, *command, "--results", world.runs)
    heard(verdict, said, command[0], 0, 2)
    verdict.named = "mlflow.db" in said.text
    if verdict.named:  # as the sentence says
        database.unlink(missing_ok=True)
    _kept(verdict, world, set(world.before))


# What a method does to others in the same process only --strict prevents.
_HARMS = sorted({*plugins.HARMFUL} - {"cheats-for-all"})


@kind("method: harms its process")
def _harm(world: World, rng: Random, verdict: Verdict) -> None:
    name = verdict.what = rng.choice(_HARMS)
    state = _start(world, rng)
    finished = {cell_id for cell_id, _ in world.look()}
    path = world.place / "plugins"
    shutil.rmtree(path, ignore_errors=True)
    plugins.install_hostile(path)
    running = Running(world, *_TRACKED, "--method", name, "--no-track", path=path)
    said = running.end(verdict, 0, 1)
    verdict.named = said.code == 1
    verdict.what += f", from {state}"
    for record in Store(world.runs).records():
        if record.cell.method == name:
            shutil.rmtree(world.runs / "cells" / record.cell.id)
            shutil.rmtree(world.runs / "models" / record.cell.id, ignore_errors=True)
    compared(verdict, world, set(), "after the fault")
    _kept(verdict, world, finished)
