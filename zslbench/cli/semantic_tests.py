"""``zslbench semantic-tests``: test what class embeddings mean."""

from __future__ import annotations

import click

from zslbench.cli._arithmetic import arithmetic
from zslbench.cli._help import VerbGroup
from zslbench.cli._wordnet import wordnet


@click.group(
    commands=[wordnet, arithmetic],
    cls=VerbGroup,
    examples=[
        "zslbench semantic-tests wordnet --dataset ucf101",
        "zslbench semantic-tests arithmetic --dataset ucf101",
    ],
)
def command() -> None:
    """Compare class embeddings with WordNet, and test their vector arithmetic."""
