"""Inject faults into results folders, and count losses, duplicates, silent changes and tracebacks.

``python tests/faults/inject.py --faults 1000 --seed 0`` prints a table by kind. Exit code 1: something was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parents[1])]

from faults import damage, damaged, judge, steps  # noqa: E402
from faults.world import World, make_world  # noqa: E402

KINDS = (*damage.KINDS, *steps.KINDS)
_COLUMNS = ("injected", "named", *judge.FAULTS)


def main(arguments: list[str] | None = None) -> int:
    """Inject and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kind", default="", help="only kinds that contain this")
    parser.add_argument("--number", type=int, help="only the fault of this number of each kind")
    chosen = parser.parse_args(arguments)
    kinds = [kind for kind in KINDS if chosen.kind in kind]
    each = -(-chosen.faults // len(kinds))
    numbers = range(each) if chosen.number is None else [chosen.number]
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        make_world(Path(scratch, "pristine"))
        tasks = [(scratch, kind, f"{chosen.seed} {number}") for number in numbers for kind in kinds]
        started = time.time()
        with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
            verdicts = list(pool.map(_one, tasks, chunksize=4))
    print(table(verdicts))
    print(f"{len(verdicts)} faults in {time.time() - started:.0f} s")
    for verdict, task in zip(verdicts, tasks, strict=True):
        for fault, happened in verdict.wrong.items():
            print(f"\n{fault} (number {task[2].split()[1]} of '{verdict.kind}'): {verdict.what}", *happened, sep="\n")
    return int(any(verdict.wrong for verdict in verdicts))


def _one(task: tuple[str, str, str]) -> judge.Verdict:
    scratch, kind, seed = task
    return inject(_world(scratch), kind, seed)


def inject(world: World, kind: str, seed: str) -> judge.Verdict:
    """Inject a fault into a fresh copy of the store and return what came of it."""
    rng = Random(f"{seed} {kind}")
    verdict = judge.Verdict(kind)
    if kind in steps.KINDS:
        steps.KINDS[kind](world, rng, verdict)
    else:
        damaged.inject(world, kind, rng, verdict)
    return verdict


@cache
def _world(scratch: str) -> World:
    return World(Path(scratch, "pristine"), Path(tempfile.mkdtemp(dir=scratch)))


def table(verdicts: list[judge.Verdict]) -> str:
    """Return the counts by kind as a table in Markdown."""
    counts: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        counts.setdefault(verdict.kind, Counter()).update(["injected", *["named"] * verdict.named, *verdict.wrong])
    counts["all"] = sum(counts.values(), Counter())
    lines = [f"| fault | {' | '.join(_COLUMNS)} |", "|---|" + "---:|" * len(_COLUMNS)]
    lines += [f"| {kind} | {' | '.join(str(row[name]) for name in _COLUMNS)} |" for kind, row in counts.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
