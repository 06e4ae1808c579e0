"""``zslbench track``: copy the results into MLflow."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cells.store import Store
from zslbench.cli._console import RESULTS, TRACKING_URI, tell_unreadable
from zslbench.cli._help import VerbGroup
from zslbench.cli._output import echo, say
from zslbench.errors import ZslbenchError
from zslbench.tables.progress import progress
from zslbench.tracking import tracker
from zslbench.tracking.projection import tell_addresses
from zslbench.tracking.trials import sync_trials


@click.group(cls=VerbGroup, examples=["zslbench track sync"])
def command() -> None:
    """Copy the results into MLflow."""


@command.command(examples=["zslbench track sync --tracking-uri http://127.0.0.1:5000"])
@RESULTS
@TRACKING_URI
def sync(results: Path, tracking_uri: str | None) -> None:
    """Make MLflow equal to the stored results; cells that have not changed are not sent again."""
    if not (results / "cells").is_dir():
        raise ZslbenchError(f"no result is stored in {results}; run something first, or set --results.")
    store = Store(results)
    tell_unreadable(store.scan()[1])
    with progress("cells", "cells") as show:
        counts = tracker.sync(store, tracking_uri, show)
    say(
        f"{counts['created']} cells created, {counts['updated']} updated, {counts['unchanged']} unchanged "
        f"in {tracking_uri or tracker.default_uri(results)}"
    )
    if renewed := counts["renewed"]:
        echo(f"{renewed} rows of an older zslbench have the new names now; their old runs are in MLflow's trash")
    if trials := sync_trials(store, tracking_uri):
        echo(f"{trials} trials of 'zslbench tune' created")
    tell_addresses(tracking_uri)
