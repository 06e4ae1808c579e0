"""``zslbench prompts``: accuracy over spellings of the class names and templates around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from zslbench.cli._console import DEVICE, check_device, hub_options
from zslbench.cli._files import FILE, PICTURES, check_suffix, write_results, writing
from zslbench.cli._help import Verb
from zslbench.cli._output import say
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.run.prompt_figures import EncodeAll, Prompt, PromptFigures, Rows
from zslbench.semantics.class_vectors import has_phrases
from zslbench.semantics.prompts import NO_TEMPLATE, encoded_texts
from zslbench.stats.intervals import Float64Array
from zslbench.tables.progress import progress
from zslbench.tables.writer import columns, share_text, table_text

if TYPE_CHECKING:
    from zslbench.video.model_files import ModelFiles

_USUAL = Prompt("plain", NO_TEMPLATE)
_FIGURES = {"top1": "top-1", "top1_per_class": "per-class top-1"}
_ORACLE = (
    "Test labels made these figures. To choose a prompt by them is an oracle\n"
    "(docs/audit.md, W13): report the distribution, or a prompt that was fixed before."
)


@click.command(
    short_help="Measure how much the wording of class names changes accuracy.",
    cls=Verb,
    examples=[
        "zslbench prompts --dataset ucf101 --features clip --model FOLDER",
        "zslbench prompts --dataset ucf101 --features captions --method nearest-text --method ridge",
    ],
)
@click.option("--dataset", required=True)
@click.option("--features", required=True, help="Features in the space of the encoder, for methods that compare both.")
@click.option("--semantics", default="minilm", help="Class vectors whose encoder embeds the prompts.")
@click.option("--model", "--clip", "model", help="Model whose text tower embeds them: a folder, or a name on the hub.")
@hub_options
@click.option("--method", "methods", multiple=True, default=("nearest-text",),
              help="Repeat it to see whether the first method's lead over the others survives the prompt.")  # fmt: skip
@click.option("--names", multiple=True, help="Tables of names. [default: all of the dataset]")
@click.option("--template", "templates", multiple=True,
              help="'none', text with {}, or a set. [default: none, 'a video of {}' and CLIP's set]")  # fmt: skip
@click.option("--family", help="Split family. [default: every class at once, if no method trains]")
@click.option("--splits", help="Splits of the family: 5, 0:10, 3,7 or all. [default: 1]")
@click.option("--seed", type=int, default=0)
@click.option("--metric", type=click.Choice(list(_FIGURES)), default="top1")
@click.option("--out", type=FILE, help="Draw the distribution to a .png, .svg or .pdf, or write .csv or .json.")
@DEVICE
def command(
    dataset: str, features: str, semantics: str, model: str | None, revision: str | None, trust_remote_code: bool,
    methods: tuple[str, ...], names: tuple[str, ...],
    templates: tuple[str, ...], family: str | None, splits: str | None, seed: int, metric: str, out: Path | None,
) -> None:  # fmt: skip
    """Measure how much the wording of class names changes accuracy.

    Every template with every table of names is a prompt. The table shows the distribution of a figure over the prompts.
    With a second --method, it shows with how many prompts the first one leads. Methods that train are fitted again with
    each prompt, on the splits. Nothing is stored as a result.
    """
    from zslbench.datasets.catalog import get_dataset
    from zslbench.features.catalog import open_features
    from zslbench.run.experiment import make_experiment, resolve_method
    from zslbench.run.plan import make_plan
    from zslbench.run.prompt_figures import make_prompts, measure_prompts, usual_templates
    from zslbench.run.sources import refuse_other_model, refuse_other_weights
    from zslbench.video.model_files import fetch_model, weights_digest

    check_suffix("--out", out, (*PICTURES, ".csv", ".json"))
    check_device()
    found = get_dataset(dataset)
    prompts = make_prompts(names or list(found.spellings), templates or usual_templates(found.name))
    trained = [label for label in methods if (plugin := resolve_method(label, {}))[0](plugin[1]).trains]
    files = fetch_model(model, revision, trust_remote_code=trust_remote_code) if model else None
    whole = family is None and splits is None and not trained
    settings = {"method": methods, "dataset": dataset, "features": features, "family": family, "seed": seed}
    plan = make_plan(make_experiment(settings | {"splits": splits or "1"}), own_vectors=False)
    plugins = [resolve_method(label, {}) for label in methods]
    made, compared = [method(params) for method, params, *_ in plugins], open_features(found, features)
    if files:
        refuse_other_weights(made, compared, str(model), weights_digest(files.folder))
    else:
        refuse_other_model(made, compared, semantics)
    with progress("encoding", "texts") as encoded:
        encode = _encoder(semantics, found, files, encoded, trust_remote_code=trust_remote_code)
        with progress("scoring", "prompts") as shown:
            figures = measure_prompts(plan, prompts, encode, all_classes=whole, progress=shown)
    numbers = sorted({cell.split for cell in plan.cells})
    splits_text = f"split{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    tested = "all at once" if whole else f"{plan.cells[0].family}, {splits_text}"
    title = f"{found.name}@{features}, {len(figures.classes)} classes, {tested}"
    say(f"{title}; prompts of {model or semantics}\n")
    say(_render(figures, metric))
    _write(out, figures, metric, title)


def _encoder(
    semantics: str, dataset: Dataset, files: ModelFiles | None, shown: Callable[[int, int], object], *,
    trust_remote_code: bool,
) -> EncodeAll:  # fmt: skip
    """Return the function that embeds all prompts, each text once."""
    if files is not None:
        from zslbench.video.text_tower import TextTower

        tower = TextTower(files.folder, trust_remote_code=trust_remote_code)

        def encode(texts: Sequence[str]) -> Rows:
            rows = tower.encode(texts, shown)
            for note in tower.notes():
                say(f"warning: {note}, so prompts may differ by less than they say.", err=True)
            return dict(zip(texts, rows, strict=True))

        return encode
    if semantics not in dataset.vectors or not has_phrases(dataset.vectors[semantics]):
        raise ZslbenchError(
            f"{semantics} has no encoder that could embed prompts of {dataset.name}; use --semantics minilm, or "
            f"--model MODEL for the text tower of CLIP or another model."
        )
    return lambda texts: encoded_texts(dataset.vectors[semantics], texts, shown)


def _render(figures: PromptFigures, metric: str) -> str:
    """Return the distribution of a figure over the prompts as a table, the extremes, and each lead."""
    accuracy = figures.accuracy(metric)
    templates = len({prompt.template for prompt in figures.prompts})
    lines = [f"{len(figures.prompts)} prompts: {templates} templates x {len(figures.prompts) // templates} spellings"]
    lines += [f"names {names}: the vectors of {other}, not counted again" for names, other in figures.same.items()]
    right = ["n", "min", "25 %", "median", "75 %", "max", "sd"]
    headers = columns([f"{_FIGURES[metric]} %", "names", *right], right=right)
    lines += ["", table_text("console", headers, _rows(figures, accuracy))]
    for label, of_method in zip(figures.methods, accuracy, strict=True):
        lines += ["", label]
        extremes = {"best": int(of_method.argmax()), "worst": int(of_method.argmin()), "default": figures.usual}
        for what, i in extremes.items():
            if i is not None:
                prompt = _USUAL if what == "default" else figures.prompts[i]
                lines.append(f"  {what:<7} {share_text(of_method[i]):>5}  {prompt.text}")
    for i, label in enumerate(figures.methods[1:], start=1):
        lines += ["", _lead(figures, metric, i, label)]
    return "\n".join([*lines, "", _ORACLE])


def _rows(figures: PromptFigures, accuracy: Float64Array) -> Iterator[list[str]]:
    """Yield the distribution of each method, over all prompts and over those of each table of names."""
    tables = np.array([prompt.names for prompt in figures.prompts])
    for label, of_method in zip(figures.methods, accuracy, strict=True):
        for name in ["", *dict.fromkeys(tables.tolist())]:
            values = of_method[tables == name] if name else of_method
            spread = values.std(ddof=1) if len(values) > 1 else float("nan")
            quartiles = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
            yield ["" if name else label, name or "all", str(len(values)), *map(share_text, [*quartiles, spread])]


def _lead(figures: PromptFigures, metric: str, other: int, label: str) -> str:
    leads = figures.leads(metric, other)
    n, means = len(leads), np.array([lead.mean for lead in leads])
    ahead, behind = sum(lead.low > 0 for lead in leads), sum(lead.high < 0 for lead in leads)
    share = 100 * (means > 0).mean()
    return (
        f"{figures.methods[0]} leads {label} with {(means > 0).sum()} of {n} prompts ({share:.0f} %);\n"
        f"lead {100 * means.min():+.1f} to {100 * means.max():+.1f} points, median {100 * np.median(means):+.1f}. "
        f"95 % intervals over {leads[0].n_classes} classes, paired,\n"
        f"exclude 0: ahead with {ahead}, behind with {behind} prompts."
    )


def _write(out: Path | None, figures: PromptFigures, metric: str, title: str) -> None:
    if out is None:
        return
    if out.suffix.lower() in PICTURES:
        from zslbench.report.prompts import prompt_figure

        with writing("--out", out) as work:
            prompt_figure(figures, metric, title, _FIGURES[metric]).savefig(work)
        return
    note = " ".join(_ORACLE.splitlines())
    both = {name: figures.accuracy(name) for name in _FIGURES}
    rows = [
        {"method": label, "names": each.names, "template": each.template} | {name: both[name][m, i] for name in both}
        for m, label in enumerate(figures.methods)
        for i, each in enumerate(figures.prompts)
    ]
    write_results(out, rows, {"title": title, "same": dict(figures.same), "note": note, "prompts": rows})
