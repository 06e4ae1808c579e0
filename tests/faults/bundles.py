"""Faults of a bundle that somebody was sent: damaged, edited or forged before it is imported or shown."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random

from faults.damage import BYTES
from faults.damaged import contents
from faults.judge import Verdict, compared, heard
from faults.world import World, say

from zslbench.cells._sums import SUMS, write_sums

KINDS: dict[str, Callable[[World, Random, Verdict], None]] = {}
Damage = Callable[[Path, Path, Random], str]
_CARD = "bundle.json"


def kind(name: str) -> Callable[[Damage], Damage]:
    """Register a damage to a bundle, a function of the file, of a folder with its members, and of chance."""

    def register(damage: Damage) -> Damage:
        KINDS[name] = lambda world, rng, verdict: _inject(world, rng, verdict, damage)
        return damage

    return register


@kind("bundle: file truncated")
def _truncated(path: Path, members: Path, rng: Random) -> str:
    return BYTES["truncate"](path, rng)


@kind("bundle: bit flipped")
def _flipped(path: Path, members: Path, rng: Random) -> str:
    return BYTES["flip"](path, rng)


@kind("bundle: bytes zeroed, overwritten or appended")
def _overwritten(path: Path, members: Path, rng: Random) -> str:
    return BYTES[rng.choice(["zero", "garble"])](path, rng)


@kind("bundle: member damaged")
def _member(path: Path, members: Path, rng: Random) -> str:
    return BYTES[rng.choice(sorted(BYTES))](_chosen(members, rng), rng)


@kind("bundle: member removed, replaced or added")
def _members(path: Path, members: Path, rng: Random) -> str:
    file, other = _chosen(members, rng), _chosen(members, rng)
    how = rng.choice(["removed", "replaced", "added", "cell removed", "cell renamed"])
    if how == "removed":
        file.unlink()
    elif how == "replaced":
        shutil.copyfile(other, file.with_name("new"))
        file.with_name("new").replace(file)
    elif how == "added":
        file.with_name(rng.choice(["extra.txt", "scores.npy.bak", "a\nb"])).write_bytes(rng.randbytes(20))
    elif how == "cell removed":
        shutil.rmtree(rng.choice(sorted((members / "cells").iterdir())))
    else:
        folder = rng.choice(sorted((members / "cells").iterdir()))
        folder.rename(folder.with_name(rng.randbytes(16).hex()))
    return f"{file.parent.name}/{file.name}: {how}"


@kind("bundle: a figure edited, with new checksums")
def _forged(path: Path, members: Path, rng: Random) -> str:
    folder = rng.choice(sorted((members / "cells").iterdir()))
    result = json.loads((folder / "result.json").read_text())
    name = rng.choice(sorted(result["metrics"]))
    result["metrics"][name] = result["metrics"][name] / 2 + 0.3
    (folder / "result.json").write_text(json.dumps(result))
    write_sums(folder)
    card = json.loads((members / _CARD).read_text())
    card["cells"][folder.name] = sha256((folder / SUMS).read_bytes()).hexdigest()
    (members / _CARD).write_text(json.dumps(card))
    return f"{name} of {folder.name}"


def _chosen(members: Path, rng: Random) -> Path:
    return rng.choice(sorted(path for path in members.rglob("*") if path.is_file() and path.stat().st_size))


def _inject(world: World, rng: Random, verdict: Verdict, damage: Damage) -> None:
    world.reset()
    given, members = world.place / "given.zip", world.place / "members"
    shutil.rmtree(members, ignore_errors=True)
    expected = _export(world, given)
    with zipfile.ZipFile(given) as archive:
        archive.extractall(members)
    before = _files(members)
    verdict.what = damage(given, members, rng)
    if _files(members) != before:
        _pack(members, given)
    shown = say("leaderboard", "--format", "csv", "--results", given)
    taken = world.say("results", "import", given, "--name", "theirs")
    heard(verdict, shown, "leaderboard", 0, 2)
    heard(verdict, taken, "results import", 0, 2)
    verdict.named = taken.code == 2
    if shown.code != taken.code:
        verdict.blame("silent", f"only one verb refuses it:\n{shown.text}\n{taken.text}")
    stored = world.runs / "imported" / "theirs"
    if taken.code == 2 and (str(given) not in taken.err or stored.exists()):
        verdict.blame("silent", f"it is refused, but not named, or stored: {taken.text}")
    if taken.code == 0:
        _same(world, verdict, stored)
        if shown.out != expected:
            verdict.blame("silent", f"leaderboard shows something else: {shown.text}")
    heard(verdict, world.say("results", "verify"), "results verify")
    shutil.rmtree(stored, ignore_errors=True)
    compared(verdict, world, set(), "after the import")


def _export(world: World, path: Path) -> str:
    """Write the bundle of the undamaged store, and return its leaderboard; both are made once."""
    kept, board = world.place / "whole.zip", world.place / "whole.csv"
    if not board.exists():
        for said in (
            world.say("results", "export", kept, "--name", "theirs"),
            say("leaderboard", "--format", "csv", "--results", kept, "--out", board),
        ):
            if said.code:
                raise RuntimeError(f"the undamaged bundle cannot be made: {said.text}")
    shutil.copyfile(kept, path)
    return board.read_text(encoding="utf-8")


def _files(members: Path) -> dict[str, bytes]:
    return {str(path.relative_to(members)): path.read_bytes() for path in members.rglob("*") if path.is_file()}


def _pack(members: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _files(members).items():
            archive.writestr(name, content)


def _same(world: World, verdict: Verdict, stored: Path) -> None:
    """Check that the cells that were imported are those that were exported."""
    cells = {path.name: contents(path) for path in sorted((stored / "cells").iterdir())}
    for cell_id in world.before.keys() - cells.keys():
        verdict.blame("lost", f"imported without {cell_id}")
    for cell_id, files in cells.items():
        if files != contents(world.pristine / "runs" / "cells" / cell_id):
            verdict.blame("silent", f"{cell_id} was changed and imported")
