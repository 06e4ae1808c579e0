"""``zslbench protocols``: the settings in which papers report figures, who reports them, and the commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

import click

from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.ledger.published import Published, published_results
from zslbench.ledger.reported import papers_of, reported_by
from zslbench.protocols.settings import Setting, all_settings, get_setting
from zslbench.tables.document import Document, Section
from zslbench.tables.widths import filled, shell_lines
from zslbench.tables.writer import columns, escape, table_text

_WIDTHS = (None, None, 11, 9, 16)  # together at most 80 characters
_FIGURES = {
    "top1": "accuracy per video", "top1_per_class": "accuracy per class",
    "H": "H (harmonic mean of S and U, both per class)", "HM": "HM (harmonic mean of base and novel, both per video)",
}  # fmt: skip


@click.command(cls=Verb, examples=["zslbench protocols --dataset ucf101", "zslbench protocols xu-50/50-first-30"])
@click.argument("name", required=False)
@click.option("--dataset", help="Only settings that test this dataset.")
@table_options()
def command(name: str | None, dataset: str | None, target: Target) -> None:
    """List the settings in which papers report figures, with those who report them.

    With NAME, show one whole: what is trained on and tested, the convention, the pitfalls, the published figures and
    the command. 'zslbench run --protocol-of SOURCE' runs the setting of a source.
    """
    found = [get_setting(name)] if name else list(all_settings().values())
    if dataset:
        from zslbench.datasets.catalog import get_dataset

        found = [each for each in found if get_dataset(dataset).name in each.datasets]
    if target.fmt != "console":
        target.write(_document(found))
    elif name:
        say("\n".join(line for each in found for line in _whole(each)))
    else:
        _list(found)


def _document(settings: Sequence[Setting]) -> Document:
    section = Section(columns(_HEADERS), _rows(settings), "Settings in which papers report figures", key="protocols")
    facts = [_record(each) for each in settings]
    return Document("zslbench protocols", [section], facts=facts, own={"markdown": "\n".join(_page(settings))})


_HEADERS = ("name", "protocol", "datasets", "figure", "reported by")


def _rows(settings: Sequence[Setting]) -> list[tuple[str, ...]]:
    return [
        (each.name, each.protocol, ", ".join(each.datasets), each.figure.replace("_", " "),
         ", ".join(papers_of(each.name)) or "-")
        for each in settings
    ]  # fmt: skip


def _list(settings: Sequence[Setting]) -> None:
    described = zip(columns(_HEADERS), _WIDTHS, strict=True)
    echo(table_text("console", [replace(c, width=w) for c, w in described], _rows(settings)))
    say("\n'zslbench protocols NAME' shows one, with its command. Quote names with >.")
    say("'zslbench run --protocol-of SOURCE' runs the setting of a source (last column).")


def _whole(setting: Setting) -> Iterable[str]:
    """Yield the lines of one setting."""
    group = setting.group
    yield f"{setting.name}: {setting.title}"
    parts = {
        "group": group.title,
        "source": group.source,
        "protocol": f"{setting.protocol}; split family {_or(setting.families)}; splits {setting.splits}",
        "datasets": ", ".join(setting.datasets),
        "trained on": group.trained,
        "tested on": group.tested,
        "figure": f"{setting.figure}, {_FIGURES[setting.figure]}",
        "convention": setting.convention,
        "reported by": ", ".join(papers_of(setting.name)) or "no source of the ledger",
    }
    for title, text in parts.items():
        yield filled(f"{title}: {text}", "  ", "    ")
    yield "  pitfalls:"
    yield from (filled(text, "    - ", "      ") for text in group.pitfalls)
    yield "  command:"
    yield from (shell_lines(line, "    ") for line in (setting.command(), *_short_commands(setting)))
    if figures := [row for row in published_results() if row.setting == setting.name]:
        yield ""
        yield _figures_table(figures)
        yield "\n'zslbench ledger SYSTEM' has caveats and sources."


def _short_commands(setting: Setting) -> list[str]:
    """Return the command by the name of a source, if one reports the setting."""
    paper = next(iter(papers_of(setting.name)), None)
    source = paper if paper and len(reported_by(paper)) == 1 else f"{paper}:{setting.name}"
    return [shlex.join(["zslbench", "run", "--method", "METHOD", "--protocol-of", source])] if paper else []


def _or(names: Sequence[str]) -> str:
    return f"{names[0]} (or {', '.join(names[1:])})" if len(names) > 1 else names[0]


def _figures_table(rows: Iterable[Published]) -> str:
    cells = [
        (row.system, row.dataset, row.metric, f"{row.text}{f' ± {row.spread_text}' if row.spread_text else ''}",
         row.paper or "-")
        for row in rows
    ]  # fmt: skip
    described = columns(("system", "dataset", "metric", "published", "source"), right=("published",))
    return table_text("console", described, cells)


def _page(settings: Sequence[Setting]) -> Iterable[str]:
    """Yield the lines of a page in Markdown: who reports what, then a section per group."""
    groups = {each.group.name: [other for other in settings if other.group is each.group] for each in settings}
    yield "| protocol | reported by | command |\n|---|---|---|"
    for of in groups.values():
        title = of[0].group.title
        papers = ", ".join(_all_papers(of)) or "-"
        yield f"| [{title}](#{_anchor(title)}) | {papers} | `{of[0].command()}` |"
    for of in groups.values():
        yield from _section(of)


def _all_papers(settings: Sequence[Setting]) -> list[str]:
    return sorted({paper for each in settings for paper in papers_of(each.name)})


def _anchor(title: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def _section(settings: Sequence[Setting]) -> Iterable[str]:
    """Yield the lines of one group's section."""
    group = settings[0].group
    yield f"\n## {group.title}\n"
    yield f"Source: {group.source}.\n"
    parts = {"trained on": group.trained, "tested on": group.tested, "convention": group.convention}
    yield "| | |\n|---|---|"
    yield from (f"| {title} | {escape('markdown', text)} |" for title, text in parts.items())
    yield "\n| setting | what | datasets | protocol, family, splits | figure | reported by |\n|---|---|---|---|---|---|"
    for each in settings:
        run = f"{each.protocol}, {' or '.join(f'`{name}`' for name in each.families)}, {each.splits}"
        papers = ", ".join(papers_of(each.name)) or "-"
        yield f"| `{each.name}` | {each.title} | {', '.join(each.datasets)} | {run} | {each.figure} | {papers} |"
    yield "\nPitfalls:\n"
    yield from (f"* {escape('markdown', text)}" for text in group.pitfalls)
    yield f"\n```sh\n{settings[0].command()}\n```"


def _record(setting: Setting) -> dict[str, object]:
    group = setting.group
    return {
        "name": setting.name,
        "title": setting.title,
        "group": group.name,
        "protocol": setting.protocol,
        "families": setting.families,
        "splits": setting.splits,
        "datasets": setting.datasets,
        "train": setting.train or None,
        "figure": setting.figure,
        "trained": group.trained,
        "tested": group.tested,
        "convention": setting.convention,
        "source": group.source,
        "pitfalls": group.pitfalls,
        "reported_by": papers_of(setting.name),
        "command": setting.command(),
    }
