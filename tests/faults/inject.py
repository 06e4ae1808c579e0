"""Inject faults into results folders, and count losses, duplicates, silent changes and tracebacks.

``python tests/faults/inject.py --faults 1000 --seed 0`` prints a table by kind. Exit code 1: something was wrong.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parents[1])]

from faults import bundles, damage, damaged, inputs, judge, processes, steps  # noqa: E402
from faults.world import World, make_world  # noqa: E402

_DISTURBANCES = steps.KINDS | inputs.KINDS | bundles.KINDS | processes.KINDS
KINDS = (*damage.KINDS, *_DISTURBANCES)
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
    numbers = numbers_of([kind for kind in KINDS if chosen.kind in kind], chosen.faults)
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        make_world(Path(scratch, "pristine"))
        tasks = [(scratch, kind, f"{chosen.seed} {i}") for kind, n in numbers.items() for i in range(n)]
        if chosen.number is not None:
            tasks = [(scratch, kind, f"{chosen.seed} {chosen.number}") for kind in numbers]
        started, verdicts = time.time(), []
        with ProcessPoolExecutor(chosen.jobs, get_context("spawn")) as pool:
            for verdict in pool.map(_one, tasks):
                verdicts.append(verdict)
                if len(verdicts) % 50 == 0:
                    print(
                        f"{len(verdicts)} of {len(tasks)}, {time.time() - started:.0f} s", file=sys.stderr, flush=True
                    )
    print(table(verdicts))
    print(f"{len(verdicts)} faults in {time.time() - started:.0f} s")
    for verdict, task in zip(verdicts, tasks, strict=True):
        for fault, happened in verdict.wrong.items():
            print(f"\n{fault} (number {task[2].split()[1]} of '{verdict.kind}'): {verdict.what}", *happened, sep="\n")
    return int(any(verdict.wrong for verdict in verdicts))


def numbers_of(kinds: list[str], faults: int) -> dict[str, int]:
    """Return kind -> number of faults; those that take whole processes are a twentieth of the others."""
    weights = {kind: 0.05 if kind in processes.KINDS else 1 for kind in kinds}
    return {kind: math.ceil(faults * weight / sum(weights.values())) for kind, weight in weights.items()}


def _one(task: tuple[str, str, str]) -> judge.Verdict:
    scratch, kind, seed = task
    return inject(_world(scratch), kind, seed)


def inject(world: World, kind: str, seed: str) -> judge.Verdict:
    """Inject a fault into a fresh copy of the store and return what came of it."""
    rng = Random(f"{seed} {kind}")
    verdict = judge.Verdict(kind)
    try:
        if kind in _DISTURBANCES:
            _DISTURBANCES[kind](world, rng, verdict)
        else:
            damaged.inject(world, kind, rng, verdict)
    except Exception:  # of a reader, or of this program: the other faults still count
        verdict.blame("traceback", traceback.format_exc())
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
