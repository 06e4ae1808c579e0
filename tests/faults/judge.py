"""Judge what commands show and say after a fault: nothing lost, nothing twice, no other figure, no traceback."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from faults.world import FAILED, Said, World

FAULTS = ("lost", "duplicate", "silent", "traceback")


@dataclass
class Verdict:
    """What one fault led to.

    Attributes
    ----------
    named
        Whether a command named what was damaged.
    wrong
        ``lost``, ``duplicate``, ``silent`` or ``traceback`` -> what happened; empty if all is as it must be.
    """

    kind: str
    what: str = ""
    named: bool = False
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, fault: str, what: str) -> None:
        """Note a fault of zslbench."""
        self.wrong.setdefault(fault, []).append(what)


def heard(verdict: Verdict, said: Said, verb: str, *codes: int) -> None:
    """Check a command's exit code, and that it printed no traceback."""
    if "Traceback (most recent call last)" in said.text or said.code not in (codes or (0,)):
        verdict.blame("traceback", f"{verb} ended with {said.code}: {said.text[-2000:]}")


def compared(verdict: Verdict, world: World, named: set[str], when: str, *, failed: bool = False) -> None:
    """Compare what the store shows with what it showed before; a cell may be absent only if it is ``named``.

    ``failed``: whether the command said that cells failed.
    """
    shown = world.look()
    ids = [cell_id for cell_id, _ in shown]
    for cell_id in {cell_id for cell_id in ids if ids.count(cell_id) > 1 or cell_id not in world.before}:
        verdict.blame("duplicate", f"{when}: {cell_id}")
    for cell_id in world.before.keys() - set(ids) - named:
        verdict.blame("lost", f"{when}: {cell_id}")
    for cell_id, print_ in shown:
        if print_ == FAILED and failed:
            continue
        if cell_id in world.before and print_ != world.before[cell_id]:
            verdict.blame("silent", f"{when}: {cell_id} shows {'no' if print_ == FAILED else 'other'} figures")


def swept(verdict: Verdict, world: World) -> None:
    """Check that rests of killed commands are deleted after a day, and that ``results verify`` then finds nothing."""
    said = world.say("results", "verify")
    heard(verdict, said, "results verify", 0, 1)
    for path in (world.runs, *world.runs.glob("*/")):
        for rest in path.glob(".unfinished-*"):
            os.utime(rest, (0, 0))
    heard(verdict, world.run(), "run")
    if rests := [str(path) for path in world.runs.rglob(".unfinished-*")]:
        verdict.blame("lost", f"rests are not deleted: {rests}")
    heard(verdict, world.say("results", "verify"), "results verify")
