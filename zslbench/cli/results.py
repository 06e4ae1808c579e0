"""``zslbench results``: verify, list, show, remove, rescore, export, import and merge stored cells."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zslbench.cli._console import READ_RESULTS
from zslbench.cli._help import VerbGroup
from zslbench.cli._output import echo
from zslbench.cli._rescore import rescore
from zslbench.cli._stored import VERBS
from zslbench.errors import NotFoundError
from zslbench.tables.progress import progress
from zslbench.tables.widths import filled

if TYPE_CHECKING:
    from zslbench.proof.verify import Defect, Verification


@click.group(
    commands=(*VERBS, rescore), cls=VerbGroup, examples=["zslbench results list", "zslbench results export mine.zip"]
)
def command() -> None:
    """Verify, list, show, remove, rescore, export, import and merge stored cells."""


@command.command(
    short_help="Prove every stored figure from the predictions.",
    examples=["zslbench results verify", "zslbench results verify --results theirs.zip"],
)
@READ_RESULTS
@click.option("--format", "fmt", type=click.Choice(["console", "json"]), default="console")
def verify(results: Path, fmt: str) -> int:
    """Check every file, compute every figure again from the predictions, and list what is wrong.

    Class names, splits, videos and methods are compared with those of this machine, where they are the same. The exit
    code is 1 if something disagrees, cannot be read, or belongs to no cell. docs/results.md says what this proves.
    """
    from zslbench.cells.store import Store
    from zslbench.proof.verify import verify as check

    if not results.is_dir():
        raise NotFoundError(f"there is no results folder {results}; name another one with --results.")
    with progress("verifying", "cells") as show:
        found = check(Store(results), show)
    if fmt == "json":
        defects = [asdict(defect) for defect in found.defects]
        said = {"states": found.states, "models": found.models, "defects": defects, "unchecked": found.unchecked}
        echo(json.dumps(said, indent=1))
    else:
        echo("\n".join([*_listed(found.defects), *_not_checked(found), _summary(found)]))
    return 1 if found.defects else 0


def _listed(defects: list[Defect]) -> list[str]:
    """Return one paragraph for each place that something is wrong with."""
    lines = []
    for (kind, where), group in groupby(defects, key=lambda defect: (defect.kind, defect.where)):
        lines.append(f"{kind}: {where}")
        lines += [line for defect in group for line in _wrapped(defect.what)]
    return lines


def _not_checked(found: Verification) -> list[str]:
    lines = [f"{what} ({_cells(n)})" for what, n in sorted(found.unchecked.items())]
    return ["not checked:", *(part for line in lines for part in _wrapped(line))] if lines else []


def _wrapped(text: str) -> list[str]:
    return filled(text, "  ", "    ").splitlines()


def _summary(found: Verification) -> str:
    states = ", ".join(f"{n:,} {state}" for state, n in sorted(found.states.items()))
    models = f"; {found.models:,} model{'' if found.models == 1 else 's'}" if found.models else ""
    wrong = len({(defect.kind, defect.where) for defect in found.defects})
    said = f"{wrong:,} thing{'' if wrong == 1 else 's'} wrong" if wrong else "nothing wrong"
    return f"{_cells(found.n_cells)} verified: {said}" + (f" ({states}{models})" if states or models else "")


def _cells(n: int) -> str:
    return "1 cell" if n == 1 else f"{n:,} cells"
