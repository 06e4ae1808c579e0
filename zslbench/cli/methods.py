"""``zslbench methods``: list the methods, or show one."""

from __future__ import annotations

from typing import Any

import click

from zslbench.cli._console import table
from zslbench.cli._help import Verb
from zslbench.cli._method import show_method
from zslbench.cli._output import echo
from zslbench.registry import METHODS, STEPS, get_method


@click.command(cls=Verb, examples=["zslbench methods", "zslbench methods action2vec"])
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the methods, or show the parameters and presets of one."""
    if name:
        show_method(get_method(name))
        return
    listed = list(METHODS)
    rows = [
        (m.name, m.plugin.info.wants, ", ".join(sorted(m.plugin.info.budget)) or "nothing", _summary(m.plugin.info),
         m.distribution)
        for m in listed
        if m.plugin
    ]  # fmt: skip
    table(rows, ("method", "reads", "information budget", "summary", "package"))
    steps = list(STEPS)
    echo("\nSteps on top of any method, as in 'ridge+nrm':")
    found = [(s.name, _summary(s.plugin.info), s.distribution) for s in steps if s.plugin]
    table(found, ("step", "summary", "package"))
    for m in (*listed, *steps):
        if m.problem:
            echo(f"unusable: {m.problem}")


def _summary(info: Any) -> str:
    return f"[reconstruction] {info.summary}" if info.reconstruction else str(info.summary)
