"""``zslbench methods``: list the methods, or show one."""

from __future__ import annotations

from typing import Any

import click

from zslbench.cli._console import table
from zslbench.cli._help import Verb
from zslbench.cli._method import method_document, show_method
from zslbench.cli._names import METHOD
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.registry import METHODS, STEPS, get_method
from zslbench.tables.document import Document, Section
from zslbench.tables.writer import columns


@click.command(cls=Verb, examples=["zslbench methods", "zslbench methods action2vec"])
@click.argument("name", required=False, type=METHOD)
@table_options()
def command(name: str | None, target: Target) -> None:
    """List the methods, or show the parameters and presets of one."""
    if name:
        method = get_method(name)
        if target.fmt == "console":
            show_method(method)
        else:
            target.write(method_document(method))
        return
    listed = list(METHODS)
    if target.fmt != "console":
        target.write(_document())
        return
    rows = [
        (m.name, m.plugin.info.wants, ", ".join(sorted(m.plugin.info.budget)) or "nothing", _summary(m.plugin.info),
         m.distribution)
        for m in listed
        if m.plugin
    ]  # fmt: skip
    least = {"summary": 40}
    table(rows, _HEADERS, drop=("package", "reads"), least=least)
    steps = list(STEPS)
    echo("\nSteps on top of any method, as in 'ridge+nrm':")
    found = [(s.name, _summary(s.plugin.info), s.distribution) for s in steps if s.plugin]
    table(found, ("step", *_HEADERS[3:]), drop=("package",), least=least)
    for m in (*listed, *steps):
        if m.problem:
            say(f"unusable: {m.problem}")


_HEADERS = ("method", "reads", "information budget", "summary", "package")


def _document() -> Document:
    facts = [
        {
            "name": each.name, "kind": kind, "reads": each.plugin.info.wants if kind == "method" else None,
            "budget": sorted(each.plugin.info.budget) if kind == "method" else None,
            "summary": each.plugin.info.summary, "reconstruction": each.plugin.info.reconstruction,
            "citation": each.plugin.info.citation, "version": each.plugin.info.version, "package": each.distribution,
        }
        for kind, names in (("method", METHODS), ("step", STEPS))
        for each in names
        if each.plugin
    ]  # fmt: skip

    def lines(kind: str) -> list[tuple[str, ...]]:
        return [
            (each["name"], each["reads"] or "", ", ".join(each["budget"] or ()) or "nothing",
             "[reconstruction] " * each["reconstruction"] + each["summary"], each["package"])
            for each in facts if each["kind"] == kind
        ]  # fmt: skip

    steps = [(name, *rest) for name, _, _, *rest in lines("step")]
    unusable = [f"unusable: {each.problem}" for each in (*METHODS, *STEPS) if each.problem]
    sections = [
        Section(columns(_HEADERS), lines("method"), "Methods"),
        Section(columns(("step", *_HEADERS[3:])), steps, "Steps on top of any method"),
    ]
    return Document("zslbench methods", sections, notes=unusable, facts=facts)


def _summary(info: Any) -> str:
    return f"[reconstruction] {info.summary}" if info.reconstruction else str(info.summary)
