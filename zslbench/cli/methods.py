"""``zslbench methods``: list the methods, or show one."""

from __future__ import annotations

from typing import Any

import click

from zslbench.cli._console import table
from zslbench.registry import METHODS


@click.command()
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the methods, or show the parameters and presets of one."""
    if name:
        _show(METHODS.get(name))
        return
    listed = list(METHODS)
    rows = [
        (m.name, m.plugin.info.wants, ", ".join(sorted(m.plugin.info.budget)) or "nothing", _summary(m.plugin.info),
         m.distribution)
        for m in listed
        if m.plugin
    ]  # fmt: skip
    table(rows, ("method", "looks at", "information budget", "summary", "package"))
    for m in listed:
        if m.problem:
            click.echo(f"unusable: {m.problem}")


def _summary(info: Any) -> str:
    return f"[reconstruction] {info.summary}" if info.reconstruction else str(info.summary)


def _show(method: Any) -> None:
    info = method.info
    click.echo(f"{info.name} (version {info.version}): {_summary(info)}")
    if info.citation:
        click.echo(f"Source: {info.citation}")
    click.echo(f"Looks at {info.wants} features; information budget: {', '.join(sorted(info.budget)) or 'nothing'}.")
    fields = method.Params.model_fields
    if fields:
        click.echo("\nParameters (--set METHOD.PARAMETER=VALUE):")
        table([(n, _type(f.annotation), f.get_default()) for n, f in fields.items()], ("parameter", "type", "default"))
    for preset, values in method.presets.items():
        changed = ", ".join(f"{key}={value}" for key, value in values.items()) or "the defaults"
        click.echo(f"\nPreset {info.name}:{preset}: {changed}")


def _type(annotation: Any) -> str:
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("Literal", "one of ").replace("NoneType", "none")
