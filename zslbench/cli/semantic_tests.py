"""``zslbench semantic-tests``: test what class embeddings mean."""

from __future__ import annotations

import click

from zslbench.cli._arithmetic import arithmetic
from zslbench.cli._wordnet import wordnet


@click.group(commands=[wordnet, arithmetic])
def command() -> None:
    """Compare class embeddings with WordNet, and test their vector arithmetic."""
