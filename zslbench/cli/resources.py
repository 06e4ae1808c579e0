"""``zslbench resources``: find or download data that other verbs need."""

from __future__ import annotations

import click

from zslbench.cli._help import VerbGroup
from zslbench.cli._output import echo


@click.group(cls=VerbGroup, examples=["zslbench resources wordnet"])
def command() -> None:
    """Find or download data that other verbs need, such as WordNet."""


@command.command(short_help="Find WordNet's data, or get them.", examples=["zslbench resources wordnet"])
def wordnet() -> None:
    """Find WordNet's data, or get them for the semantic tests.

    The first of these that works: data on NLTK's data path, NLTK's downloader, the system's WordNet
    (/usr/share/wordnet). The last one is copied into NLTK's data folder, which needs no root.
    """
    from zslbench.semantic_tests.wordnet_data import find_wordnet, get_wordnet, wordnet_version

    if find_wordnet() is None:
        echo("WordNet is not here yet; getting it, which can take a minute.", err=True)
    found = get_wordnet()
    version = wordnet_version(found.path)
    how = f"fetched from {found.origin} to" if found.origin else "is there:"
    echo(f"WordNet {version} {how} {found.path}")
