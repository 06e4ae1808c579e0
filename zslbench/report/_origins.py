"""Read the origins of cells: the commands, versions and machines in their ``environment.json``."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from zslbench.cells.store import Record, Store

_MACHINE = ("processor", "cores", "device", "platform")
Key = tuple[str, str]


@dataclass
class Origins:
    """Commands, machines and versions, each with its number of cells.

    Attributes
    ----------
    commands
        Command line -> key of a row -> number of its cells.
    machines, versions, commits
        Numbers of cells per (processor, cores, device, platform); (package, version); (commit, with changes or not).
    unknown
        Number of cells without a readable environment.
    """

    commands: dict[str, Counter[Key]] = field(default_factory=lambda: defaultdict(Counter))
    machines: Counter[tuple[str, ...]] = field(default_factory=Counter)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)
    commits: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: int = 0


def read_origins(store: Store, rows: Mapping[Key, Iterable[Record]]) -> Origins:
    """Return the origins of the cells of rows."""
    found = Origins()
    for key, records in rows.items():
        for record in records:
            if environment := store.source(record).environment(record.cell.id):
                _add(found, key, environment)
            else:
                found.unknown += 1
    return found


def _add(found: Origins, key: Key, environment: Mapping[str, Any]) -> None:
    found.commands[command_line(environment.get("command") or [])][key] += 1
    found.machines[tuple(str(environment.get(key) or "unknown") for key in _MACHINE)] += 1
    packages = {"zslbench": environment.get("zslbench"), "python": environment.get("python")}
    for name, version in (packages | dict(environment.get("packages") or {})).items():
        if version:
            found.versions[name, str(version)] += 1
    git = environment.get("git")
    commit = (str(git.get("commit")), "with uncommitted changes" if git.get("dirty") else "clean") if git else None
    found.commits[commit or ("none: not run from a checkout", "")] += 1


def command_line(argv: Iterable[str]) -> str:
    """Return a command as typed, with the program's name and without its folder."""
    words = list(argv)
    if not words:
        return ""
    program = PurePath(words[0])
    if program.name == "__main__.py":
        return shlex.join(["python", "-m", program.parent.name, *words[1:]])
    return shlex.join([Path(words[0]).name, *words[1:]])
