"""Damage a copy of the store, and judge what every reader shows and names, and what runs again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from random import Random

from faults.damage import FORGED, KINDS
from faults.judge import Verdict, compared, heard
from faults.world import World

_VERBS = (("leaderboard", "--format", "csv"), ("compare",), ("audit",))
_NAMED = re.compile(r"(?:cannot be read: |; )([0-9a-f]{32}), ")
_TO_RUN = re.compile(r"(\d+) kept from before, (\d+) to run")


def inject(world: World, kind: str, rng: Random, verdict: Verdict) -> None:
    """Damage a fresh copy of the store, read it, and repair it."""
    world.reset()
    if rng.random() < 0.5:  # with and without an index that is up to date
        (world.runs / "index.sqlite").unlink(missing_ok=True)
    verdict.what = KINDS[kind](world, rng)
    changed = changed_cells(world)
    gone = {cell_id for cell_id in world.before if not (world.runs / "cells" / cell_id).is_dir()}
    named = gone | read(world, verdict, rng, gone, forged=kind in FORGED)
    said = world.say("results", "verify")
    heard(verdict, said, "results verify", 0, 1)
    for cell_id in sorted(changed - gone):
        if cell_id not in said.text:
            verdict.blame("silent", f"results verify says nothing of {cell_id}")
    verdict.named = bool(named or said.code)
    _repair(world, verdict, named, changed, forged=kind in FORGED)


def read(world: World, verdict: Verdict, rng: Random, gone: set[str], *, forged: bool) -> set[str]:
    """Give the commands that read the store, and return the cells that they name."""
    named: set[str] = set()
    for verb in rng.sample(_VERBS, len(_VERBS)):
        said = world.say(*verb)
        names = set(_NAMED.findall(said.err)) & world.before.keys()
        expected = world.expected(verb, frozenset(names | gone))
        heard(verdict, said, verb[0], 0, expected.code)
        if not forged and (said.code, said.out) != (expected.code, expected.out):
            verdict.blame("silent", f"{verb[0]} shows something else, and names {sorted(names)}:\n{said.text}")
        named |= names
    if not forged:
        compared(verdict, world, named | gone, "before the repair")
    return named


def _repair(world: World, verdict: Verdict, named: set[str], changed: set[str], *, forged: bool) -> None:
    """Run again, then do what ``results verify`` asks for; afterwards all must be as it was."""
    # The command keeps all scores, so a cell without them runs again.
    without_scores = {id_ for id_ in world.before if not (world.runs / "cells" / id_ / "scores.npy").is_file()}
    said = world.run()
    heard(verdict, said, "run")
    if not forged or named:
        numbers = _TO_RUN.search(said.err)
        if numbers is None or int(numbers[2]) != len(named | without_scores):
            verdict.blame("lost", f"{len(named | without_scores)} cells should run: {said.err[:1000]}")
    remove_what_verify_names(world)
    if changed - named:  # what only verify reads was damaged, or everything that readers check was forged
        for cell_id in changed - named:
            shutil.rmtree(world.runs / "cells" / cell_id, ignore_errors=True)
    heard(verdict, world.run(), "run")
    compared(verdict, world, set(), "after the repair")
    said = world.say("results", "verify")
    heard(verdict, said, "results verify", 0)


def remove_what_verify_names(world: World) -> None:
    """Delete what belongs to no cell, and models that are damaged."""
    for folder in (world.runs, world.runs / "cells", world.runs / "models"):
        known = world.pristine / folder.relative_to(world.place)
        for path in folder.iterdir():
            ours = path.name == "locks" or (known / path.name).exists()
            if not ours or (path.name == "index.sqlite" and not path.is_file()):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for folder in (world.runs / "models", world.runs / "cells"):
        for path in folder.iterdir():
            known = world.pristine / path.relative_to(world.place)
            if path.parent.name == "models" and contents(path) != contents(known):
                shutil.rmtree(path)
                continue
            for extra in {each.name for each in path.iterdir()} - {each.name for each in known.iterdir()}:
                (path / extra).unlink()


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return the files of a folder."""
    return {
        path.name: path.read_bytes() if path.is_file() else "no file"
        for path in (folder.iterdir() if folder.is_dir() else ())
    }


def changed_cells(world: World) -> set[str]:
    """Return the cells whose files differ from the undamaged ones, but for files that were added."""
    found = set()
    for cell_id in world.before:
        now = contents(world.runs / "cells" / cell_id)
        then = contents(world.pristine / "runs" / "cells" / cell_id)
        if any(now.get(name) != content for name, content in then.items()):
            found.add(cell_id)
    return found
