"""Faults at one step of a command: the process is killed, the disk fills up, a folder vanishes, somebody stops it.

A step is an operation on files below the folders of the command, as Python's audit events report them. The command
runs in a forked child. A first run without a fault counts the steps.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from faults.judge import Verdict, compared, heard, swept
from faults.world import RUN, Said, World, say

Fault = Callable[[str, str, bool], None]  # of event, path, and whether it writes
_CALLS = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"})  # those that can fail as a system call
_EVENTS = _CALLS | {"os.listdir", "os.scandir", "sqlite3.connect"}
_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)
_SECONDS = 120
KINDS: dict[str, Callable[[World, Random, Verdict], None]] = {}
FAULTS: dict[str, tuple[Callable[[World, Random], Fault], tuple[int, ...]]] = {}  # name -> fault, possible exit codes


def nothing(event: str, path: str, writes: bool) -> None:
    """Be no fault."""


def child(world: World, fault: Fault, step: int, *args: object, seconds: float | None = None) -> Said:
    """Run a command in a forked child, with a fault at a step, or killed after some seconds.

    The code is negative if a signal ended it.
    """
    answer = world.place / "answer.json"
    answer.unlink(missing_ok=True)
    pid = os.fork()
    if not pid:
        _in_child(answer, world, fault, step, args)
    started = time.monotonic()
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if seconds is not None and time.monotonic() - started > seconds:
            os.kill(pid, signal.SIGKILL)
        if time.monotonic() - started > _SECONDS:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Said(1, "", f"Traceback (most recent call last): the command hangs at step {step}")
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(ended[1])
    if answer.exists():
        return Said(code, *json.loads(answer.read_text())["said"])
    return Said(code, "", "")


def steps_of(world: World, key: str, *args: object) -> int:
    """Return the number of steps of a command without a fault; ``key`` names the state that it starts from."""
    if key not in world.steps:
        child(world, nothing, -1, *args)
        world.steps[key] = json.loads((world.place / "answer.json").read_text())["steps"]
    return world.steps[key]


def _in_child(answer: Path, world: World, fault: Fault, step: int, args: tuple[object, ...]) -> None:
    count, busy, place = 0, False, str(world.place)

    def hook(event: str, details: tuple[object, ...]) -> None:
        nonlocal count, busy
        if busy or event not in _EVENTS or not details or place not in str(details[0]):
            return
        count += 1
        if count == step:
            busy = True
            try:
                fault(event, str(details[0]), event != "open" or "r" not in str(details[1] or "r"))
            finally:
                busy = False

    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.addaudithook(hook)
        said = say(*args)
        busy = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        answer.write_text(json.dumps({"said": [said.out, said.err], "steps": count}))
        code = said.code
    finally:
        os._exit(code)


def _kill(event: str, path: str, writes: bool) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _error(number: int) -> Fault:
    def fault(event: str, path: str, writes: bool) -> None:
        if event in _CALLS:
            one = number if writes else errno.EIO
            raise OSError(one, os.strerror(one), path)

    return fault


def _limit(size: int) -> Fault:
    def fault(event: str, path: str, writes: bool) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return fault


def _signal(number: int) -> Fault:
    return lambda event, path, writes: os.kill(os.getpid(), number)


def vanish(folder: Path) -> Fault:
    return lambda event, path, writes: shutil.rmtree(folder, ignore_errors=True)


def _prepare(world: World, what: str) -> None:
    """Bring a fresh copy of the store into a state to start from."""
    world.reset()
    if what == "nothing":
        shutil.rmtree(world.runs)
    elif what == "half":
        for cell_id in sorted(world.before)[::2]:
            shutil.rmtree(world.runs / "cells" / cell_id)
            shutil.rmtree(world.runs / "models" / cell_id)


def kind(name: str, codes: tuple[int, ...]) -> Callable[[Callable[[World, Random], Fault]], None]:
    """Register a fault at a step of ``run``; ``codes`` are the exit codes that it may lead to."""

    def register(make: Callable[[World, Random], Fault]) -> None:
        def inject(world: World, rng: Random, verdict: Verdict) -> None:
            _inject(world, rng, verdict, make(world, rng), codes)

        KINDS[f"run: {name}"] = inject
        FAULTS[name] = make, codes

    return register


def _inject(world: World, rng: Random, verdict: Verdict, fault: Fault, codes: tuple[int, ...]) -> None:
    state = rng.choice(["nothing", "half", "half", "all"])
    command = (*RUN, *(("--rerun", "all") if state == "all" else ()), "--no-track", "--results", world.runs)
    _prepare(world, state)
    steps = steps_of(world, state, *command)
    _prepare(world, state)
    finished = {cell_id for cell_id, _ in world.look()}
    step = rng.randint(1, steps)
    verdict.what = f"step {step} of {steps}, from {state}"
    said = child(world, fault, step, *command)
    heard(verdict, said, "run", *codes)
    verdict.named = said.code != 0
    there = finished if (world.runs / "cells").is_dir() and "vanish" not in verdict.kind else set()
    compared(verdict, world, world.before.keys() - there, "after the fault", failed=said.code == 1)
    heard(verdict, world.say("leaderboard"), "leaderboard", 0, 2)
    heard(verdict, world.run(), "run again")
    compared(verdict, world, set(), "after the next run")
    swept(verdict, world)


@kind("killed by SIGKILL", (0, -9))
def _killed(world: World, rng: Random) -> Fault:
    return _kill


@kind("an operation fails", (0, 1, 2))
def _failing(world: World, rng: Random) -> Fault:
    return _error(rng.choice(_ERRORS))


@kind("files cannot grow (full disk)", (0, 1, 2))
def _limited(world: World, rng: Random) -> Fault:
    return _limit(rng.choice([0, 100, 1000, 5000]))


@kind("stopped by SIGINT or SIGTERM", (0, 130, -15))
def _stopped(world: World, rng: Random) -> Fault:
    return _signal(rng.choice([signal.SIGINT, signal.SIGTERM]))


@kind("folders vanish", (0, 1, 2))
def _vanished(world: World, rng: Random) -> Fault:
    return vanish(rng.choice([world.runs, world.runs / "cells", world.runs / "models"]))
