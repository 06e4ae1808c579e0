"""Every page of help is text that a terminal shows as it was meant."""

import click

from zslbench.cli import cli


def commands(command, name=""):
    yield name, command
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for each in command.list_commands(ctx):
                yield from commands(command.get_command(ctx, each), f"{name} {each}")


def test_no_help_has_a_literal_mark_of_click():
    found = dict(commands(cli))
    assert len(found) > 60
    assert [name for name, command in found.items() if "\\b" in (command.help or "")] == []
