"""``zslbench models``: list the saved models of a results folder."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from zslbench.cells.cell import Cell
from zslbench.cells.rows import chosen_parameters, row_name
from zslbench.cells.store import MODEL_CARD, Store
from zslbench.cli._console import RESULTS, table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.tables.document import Document, Section
from zslbench.tables.writer import columns

SHOWN_ID = 8  # characters of an id that name a model
_DEFAULT = Path("results/runs")  # where verbs look without --results


@click.command(cls=Verb, examples=["zslbench models", "zslbench models --format json"])
@RESULTS
@table_options()
def command(results: Path, target: Target) -> None:
    """List the saved models of a results folder, the newest first.

    'zslbench run --save-model' saves one for each cell. 'zslbench predict', 'embed' and 'show' take a model by the
    beginning of its id.
    """
    if not results.is_dir():
        raise NotFoundError(f"there is no results folder {results}; name another one with --results.")
    found = saved_models(Store(results))
    headers = ("model", "method", "trained on", "split", "saved", "size")
    rows = [
        (m["id"][:SHOWN_ID], m["method"], f"{m['dataset']}@{m['features']}", _split(m), m["saved"][:10],
         f"{m['bytes'] / 1e6:.1f} MB")
        for m in found
    ]  # fmt: skip
    if target.fmt != "console":
        target.write(Document("zslbench models", [Section(columns(headers), rows, "Saved models")], facts=found))
    elif not found:
        say(f"no model is saved in {results}; 'zslbench run --save-model' saves one for each cell.", err=True)
    else:
        table(rows, headers, drop=("size", "saved"), least={"method": 20})
        say(f"\n{found[0]['folder'].rpartition('/')[0]} holds them. To recognise classes with one of them:")
        echo(f"  {found[0]['predict']}")


def saved_models(store: Store) -> list[dict[str, Any]]:
    """Return what is known of each saved model, the newest first; say which cards cannot be read."""
    from zslbench.run.models import read_card

    found = []
    for path in store.models.glob(f"[!.]*/{MODEL_CARD}"):
        try:
            card = read_card(path.parent)
        except ZslbenchError as error:
            echo(f"note: {error}", err=True)
            continue
        cell = card.cell
        found.append(
            {
                "id": card.id,
                "method": model_name(cell),
                "dataset": cell.dataset,
                "features": cell.features,
                **cell.model_dump(include={"semantics", "protocol", "family", "split", "seed", "simulated"}),
                "all_classes": card.all_classes,
                "saved": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
                "bytes": sum(file.stat().st_size for file in path.parent.iterdir()),
                "folder": path.parent.as_posix(),
                "predict": predict_command(store, card.id),
            }
        )
    return sorted(found, key=lambda model: (model["saved"], model["id"]), reverse=True)


def predict_command(store: Store, model_id: str) -> str:
    """Return the command that uses a model, as a shell takes it in the working directory of now."""
    line = ["zslbench", "predict", model_id[:SHOWN_ID]]
    return shlex.join([*line, *results_option(store.root)])


def results_option(results: Path) -> list[str]:
    """Return the option that names a results folder, or nothing for the one where verbs look without it."""
    here, folder = Path.cwd(), results.absolute()
    if folder == here / _DEFAULT and "ZSLBENCH_RESULTS" not in os.environ:
        return []
    return ["--results", str(folder.relative_to(here) if folder.is_relative_to(here) else folder)]


def model_name(cell: Cell) -> str:
    """Return the method of a cell as the leaderboard names it, with the parameters that are not its defaults."""
    return row_name(cell, chosen_parameters(cell))


def _split(model: dict[str, Any]) -> str:
    where = "all classes" if model["all_classes"] else f"{model['family']} #{model['split']}"
    return where + (f", seed {model['seed']}" if model["seed"] else "")
