"""``zslbench semantic-tests``: what class embeddings mean."""

from __future__ import annotations

import click

from zslbench.cli._arithmetic import arithmetic
from zslbench.cli._wordnet import wordnet


@click.group()
def command() -> None:
    """Ask whether class embeddings mean what WordNet and nouns mean."""


command.add_command(wordnet)
command.add_command(arithmetic)
