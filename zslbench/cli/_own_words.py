"""``zslbench datasets words``: the words of your classes, the vectors that these give, and other words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zslbench.cli._console import table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.datasets.dataset import Dataset
from zslbench.errors import some

if TYPE_CHECKING:
    from zslbench.semantics.own_classes import ClassWords

_SHOWN = 40  # classes that 'add' lists


@click.command(
    "words",
    cls=Verb,
    short_help="Show or change the words of your classes.",
    examples=["zslbench datasets words mine", "zslbench datasets words mine 'sit_to_stand=stand up'"],
)
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[CLASS=WORDS]...")
def command(name: str, words: tuple[str, ...]) -> None:
    """Show the words of the classes of your dataset NAME, and give classes other words.

    Each call makes the class vectors again from these words. minilm has whole phrases if they are shipped or its
    encoder is on this machine. Otherwise it takes the mean of the known words (docs/videos.md). WORDS are kept under
    [phrases] in the dataset's file. Features stay as they are.
    """
    from zslbench.datasets.catalog import add_dataset
    from zslbench.datasets.own_words import with_words
    from zslbench.semantics.encoder import encode_like

    tell_words(add_dataset(with_words(name, words), encode_like, replace=True), most=None)


def tell_words(dataset: Dataset, most: int | None = _SHOWN) -> None:
    """Print how each class gets its vector of the shipped source, and the commands that improve this.

    Parameters
    ----------
    most
        The largest number of classes to list; those with unknown words come first.
    """
    from zslbench.datasets.own_words import words_command
    from zslbench.semantics.own_classes import SHIPPED_SOURCE, words_of_classes

    classes = words_of_classes(dataset)
    ordered = classes if most is None or len(classes) <= most else sorted(classes, key=lambda each: not each.unknown)
    table([(each.name, each.says) for each in ordered[:most]], ["class", f"words of its {SHIPPED_SOURCE} vector"])
    if len(ordered[:most]) < len(classes):
        say(f"... and {len(classes) - len(ordered[:most]):,} more: '{words_command(dataset.name)}'.")
    echo()
    _tell_encoder(dataset, classes)
    _tell_other_words(dataset, classes)


def _tell_encoder(dataset: Dataset, classes: Sequence[ClassWords]) -> None:
    """Print how many classes are pooled or have no vector, and how to get the encoder, which reads whole phrases."""
    from zslbench.datasets.own_words import words_command
    from zslbench.semantics.encoder import install_command
    from zslbench.semantics.own_classes import SHIPPED_SOURCE

    pooled = [each for each in classes if each.known]
    without = [each.name for each in classes if each.unknown and not each.known]
    if pooled:
        say(f"note: {len(pooled)} of {len(classes)} classes pooled from words: {SHIPPED_SOURCE} lacks the phrases.")
        say("a + b: the mean of the words' vectors.")
    if without:
        lacks = f"{SHIPPED_SOURCE} has no vector of {len(without)} of {len(classes)} classes ({some(without)})"
        say(f"warning: {lacks}, so 'zslbench run' refuses it. Install the encoder, or give other words.")
    if pooled or without:
        say("The encoder reads whole phrases:")
        echo(f"  {install_command(dataset.vectors[SHIPPED_SOURCE])}\n  {words_command(dataset.name)}")


def _tell_other_words(dataset: Dataset, classes: Sequence[ClassWords]) -> None:
    """Print the commands that give other words to classes of unknown words and to those with equal vectors."""
    from zslbench.datasets.own_words import BLANK, words_apart, words_command
    from zslbench.semantics.own_classes import SHIPPED_SOURCE, equal_classes, strange_classes, suggested_words

    if strange := strange_classes(dataset, classes):
        names = some([each.name for each in strange])
        say(f"warning: the encoder makes a vector of any text, but no word of {names} is a common English one.")
    odd = [*(each for each in classes if each.unknown), *strange]
    meant = suggested_words(odd)
    if meant:
        echo(f"If these words are meant:\n  {words_command(dataset.name, meant)}")
    if blank := [each.name for each in odd if each.name not in meant and not each.known]:
        echo(f"Write English words for {BLANK}:\n  {words_command(dataset.name, dict.fromkeys(blank, BLANK))}")
    if equal := equal_classes(dataset):
        pairs = some([f"{first} and {second}" for second, first in equal.items()])
        say(f"warning: {SHIPPED_SOURCE} gives equal vectors to {pairs}, so 'zslbench run' refuses them.")
        echo(f"Give other words, such as:\n  {words_command(dataset.name, words_apart(dataset, equal))}")
