"""``--format`` and ``--out``: one mechanism for every verb that prints a table."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from zslbench.cli._files import FILE, writing
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.tables.document import Document
from zslbench.tables.formats import FORMAT_BY_SUFFIX, FORMATS, document_text, format_of
from zslbench.tables.latex import LatexOptions

_LABEL = re.compile(r"[\w:.+/-]+")


@dataclass(frozen=True)
class Target:
    """Where a verb's table goes, and in which format."""

    fmt: str
    out: Path | None = None
    latex: LatexOptions = field(default_factory=LatexOptions)

    def write(self, document: Document) -> None:
        """Print a document, or write it into the file of ``--out``, whole or not at all."""
        text = _page(document) if self.fmt == "html" else document_text(document, self.fmt, self.latex)
        self.write_text(text)

    def write_text(self, text: str) -> None:
        """Print a text, or write it into the file of ``--out``."""
        if self.out is None:
            echo(text)
            return
        with writing("--out", self.out) as work:
            work.write_text(text + "\n", encoding="utf-8")


def table_options(*, paper: bool = False, formats: Sequence[str] = FORMATS) -> Callable[[Any], Any]:
    """Return a decorator that gives a command the options of its table, as one argument ``target``.

    Parameters
    ----------
    paper
        Whether to add the options of LaTeX.
    formats
        What the verb can write, the default first.
    """
    known = _known(formats)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--format", "fmt", type=click.Choice(formats), help=f"[default: {formats[0]}, or as --out ends]")
        @click.option("--out", type=FILE, help=f"Write to this file. Its suffix is the format: {known}.")
        @functools.wraps(function)
        def command(fmt: str | None, out: Path | None, **more: Any) -> Any:
            given = {name: more.pop(name) for name in ("label", "caption", "intervals") if paper}
            chosen = _format(fmt, out, formats)
            _check_paper(given, chosen)
            options = LatexOptions(**{name: value for name, value in given.items() if value is not None})
            return function(target=Target(chosen, out, options), **more)

        return _paper_options(command) if paper else command

    return decorate


def _paper_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--intervals/--no-intervals", default=None, help="In LaTeX: show intervals. [default: yes]"),
        click.option("--caption", help="In LaTeX: the caption. [default: what the table shows]"),
        click.option("--label", help=r"In LaTeX: the \label. [default: tab:DATASET-PROTOCOL]"),
    ):
        command = option(command)
    return command


def _known(formats: Sequence[str]) -> str:
    *first, last = (suffix for suffix, fmt in FORMAT_BY_SUFFIX.items() if fmt in formats)
    return f"{', '.join(first)} or {last}"


def _format(fmt: str | None, out: Path | None, formats: Sequence[str]) -> str:
    """Return the format that the two options choose.

    Raises
    ------
    ZslbenchError
        The suffix is unknown, or the options contradict each other.
    """
    if out is None:
        return fmt or formats[0]
    meant = format_of(out)
    unnamed = not out.suffix and fmt not in (None, "console")  # such as /dev/stdout
    if meant not in formats and not unnamed:
        raise ZslbenchError(f"--out {out} must end in {_known(formats)}; change its suffix.")
    if meant and fmt and fmt != meant:
        raise ZslbenchError(f"--out {out} is {meant} by its suffix, and --format says {fmt}; leave out --format.")
    return meant or fmt or ""


def _check_paper(given: dict[str, Any], fmt: str) -> None:
    named = {"label": "--label", "caption": "--caption", "intervals": "--intervals"}
    strange = [named[name] for name, value in given.items() if value is not None]
    if strange and fmt != "latex":
        raise ZslbenchError(f"{strange[0]} is for LaTeX only; add --out FILE.tex, or leave it out.")
    label = given.get("label")
    if label is not None and not _LABEL.fullmatch(label):
        raise ZslbenchError(f"--label {label!r} is no label of LaTeX; use letters, digits and :._+/- only.")


def _page(document: Document) -> str:
    """Return a document as a page in the form of the report."""
    from zslbench.report.page import Page

    page = Page(document.title, warning=document.warning)
    for section in document.sections:
        page.section(section.title)
        page.table([c.title for c in section.columns], [[c.cell(row) for c in section.columns] for row in section.rows])
    page.bullets(document.notes)
    return page.render()
