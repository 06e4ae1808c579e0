"""``zslbench embeddings``: export, query and draw class embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zslbench.cli._console import table
from zslbench.cli._files import FILE
from zslbench.cli._help import VerbGroup
from zslbench.cli._model import chosen_embeddings, chosen_inputs, model_options
from zslbench.cli._output import say
from zslbench.datasets.dataset import Dataset
from zslbench.embeddings.card import make_card, warnings
from zslbench.embeddings.class_embeddings import ClassEmbeddings, video_embeddings
from zslbench.embeddings.table import VectorTable, read_table, words_path, writer_of
from zslbench.errors import ZslbenchError
from zslbench.files import check_free, new_file, read_json

if TYPE_CHECKING:
    from zslbench.features.feature_set import FeatureSet
    from zslbench.report.scatter import MapProjection
    from zslbench.run.models import SavedModel

_OF_MODELS = ("features", "family", "settings", "all_classes")


@click.group(
    cls=VerbGroup,
    examples=[
        "zslbench embeddings export --dataset ucf101 --out minilm.kv",
        'zslbench embeddings query minilm.kv "PlayingPiano - piano + violin"',
    ],
)
def command() -> None:
    """Export, query and draw class embeddings.

    The embedding of a class is the mean of the method's embeddings of its videos. Without --method or --model, the
    plain class vectors of --semantics are used.
    """


@command.command(
    short_help="Write class embeddings to files that gensim can read.",
    examples=[
        "zslbench embeddings export --dataset ucf101 --out minilm.kv",
        "zslbench embeddings export --dataset ucf101 --method action2vec --out action2vec.kv",
    ],
)
@model_options
@click.option("--out", required=True, type=FILE, help="FILE.kv or .txt (word2vec text), .bin (word2vec) or .npz.")
@click.option("--videos", is_flag=True, help="Also write the embedding of every video, to STEM.videos.*.")
@click.option("--overwrite", is_flag=True, help="Replace files of an earlier export.")
def export(out: Path, videos: bool, overwrite: bool, **options: Any) -> None:
    """Write class embeddings, and the words of class names and analogies in the same space.

    STEM.words.* contains the words. STEM.json and STEM.md name the method, features, class vectors, split, the classes
    seen in training, and the licences and sources. Either all files are written, or none.
    """
    from zslbench.embeddings.export import export, placed_words

    writer_of(out)
    check_free([out, words_path(out), out.with_suffix(".json"), out.with_suffix(".md")], replace=overwrite)
    if videos and not (options["method"] or options["model"]):
        raise ZslbenchError("--videos needs a method that embeds videos; name one with --method.")
    classes, spec, model, dataset, features = _chosen(options)
    words, missing = placed_words(spec, dataset, model)
    of_videos = None
    if videos and model is not None and features is not None:
        of_videos = VectorTable(tuple(features.ids), video_embeddings(model, features))
    card = make_card(classes, spec, dataset, words, missing, model=model, features=features)
    written = export(out, classes, words, of_videos, card, replace=overwrite)
    for warning in card["warnings"]:
        say(warning)
    say(f"{classes.title}: {len(classes)} classes, {classes.vectors.shape[1]} dimensions")
    for path in written:
        say(f"  {path}")
    if not words.names:
        say(f"note: {spec} has no vectors of single words, so no file of words is written.")
    else:
        example = " ".join(card["example"])
        say(f'Try: zslbench embeddings query {out} "{example}"')


def _chosen(options: Mapping[str, Any]) -> tuple[ClassEmbeddings, str, SavedModel | None, Dataset, FeatureSet | None]:
    """Refuse options of models without one; return what :func:`chosen_inputs` and :func:`chosen_embeddings` return."""
    given = [name for name in _OF_MODELS if options[name]]
    if given and not (options["method"] or options["model"]):
        option = given[0].replace("settings", "set").replace("_", "-")
        raise ZslbenchError(f"--{option} is only for a method's embeddings; add --method, or leave it out.")
    dataset, features = chosen_inputs(options)
    return *chosen_embeddings(options, dataset, features), dataset, features


@command.command(
    short_help="Add and subtract classes and words; show the nearest classes.",
    examples=['zslbench embeddings query minilm.kv "PlayingPiano - piano + violin"'],
)
@click.argument("file", type=FILE)
@click.argument("expressions", nargs=-1, required=True, metavar="EXPRESSION...")
@click.option("--words", type=FILE, help="File of words in the same space. [default: STEM.words.* beside FILE]")
@click.option("--top", type=click.IntRange(min=1), default=5, help="Classes shown.")
@click.option("--include-terms", is_flag=True, help="Accept the expression's own classes as answers.")
@click.option("--raw", is_flag=True, help="Add the vectors as stored, instead of scaled to unit length.")
def query(
    file: Path, expressions: tuple[str, ...], words: Path | None, top: int, include_terms: bool, raw: bool
) -> None:
    """Show the classes nearest to each EXPRESSION, such as "PlayingPiano - piano + violin".

    A name is that of a class, else a word; case, spaces and underscores do not matter. Write word:archery for the word
    if a class has the same name. FILE may be any word2vec, GloVe or fastText file, or an .npz of an export.
    """
    from zslbench.embeddings.query import query

    classes = read_table(file)
    beside = words_path(file)
    found = read_table(words or beside) if words or beside.is_file() else None
    answers = [query(text, classes, found, top=top, include_terms=include_terms, scale=not raw) for text in expressions]
    for line in _card_lines(file):
        say(line)
    for answer in answers:
        parts = [f"{'-' if term.sign < 0 else '+'} {term.name} ({term.kind})" for term in answer.terms]
        say("\n" + " ".join(parts).removeprefix("+ "))
        rows = [
            (str(i), name, f"{c:.3f}") for i, (name, c) in enumerate(zip(answer.names, answer.cosines, strict=True), 1)
        ]
        table(rows, ["", "nearest class", "cosine"])


def _card_lines(file: Path) -> list[str]:
    """Return the title and the warnings of the card beside a file, if it has one."""
    try:
        card = read_json(file.with_suffix(".json"))
        return [*card["warnings"], card["title"]] if file.name in card["files"] else []
    except (ZslbenchError, KeyError, TypeError):
        return []


@command.command(
    short_help="Draw class embeddings in the plane.",
    examples=["zslbench embeddings picture --dataset ucf101 --out classes.png"],
)
@model_options
@click.option("--out", required=True, type=FILE, help="FILE.png or .svg (a slide), or .html (with hover text).")
@click.option("--projection", type=click.Choice(["tsne", "pca"]), default="tsne")
@click.option("--lines", is_flag=True, help="Draw a line from each class to its nearest one.")
@click.option("--overwrite", is_flag=True, help="Replace the picture if it exists.")
def picture(out: Path, projection: MapProjection, lines: bool, overwrite: bool, **options: Any) -> None:
    """Draw class embeddings in the plane by t-SNE or PCA; seen and unseen classes differ in colour and shape.

    The same embeddings always give the same picture.
    """
    if out.suffix not in (".png", ".svg", ".html"):
        raise ZslbenchError(f"{out.name} must end in .png, .svg or .html; change its suffix.")
    from zslbench.report.scatter import caption, describe_map, map_classes, scatter_figure, scatter_plotly

    check_free([out], replace=overwrite)
    classes, _, model, _, features = _chosen(options)
    found = map_classes(classes, projection)
    with new_file(out, option="--out") as work:
        if out.suffix == ".html":
            from zslbench.report.page import Page

            page = Page(classes.title, warning=" ".join(warnings(model, features)))
            page.figure(scatter_plotly(found, lines=lines), describe_map(found), caption(found))
            page.write(work)
        else:
            from matplotlib import rc_context

            # The same picture gives the same file, and SVG's text stays text.
            with rc_context({"svg.hashsalt": "zslbench", "svg.fonttype": "none"}):
                metadata = {"Date": None} if out.suffix == ".svg" else {"Software": None}
                scatter_figure(found, lines=lines).savefig(work, metadata=metadata)
    say(f"{classes.title}: {len(classes)} classes, drawn to {out}")
