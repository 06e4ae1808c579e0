"""Help pages: options in groups by purpose, and examples at the end."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

_COLUMN = 30  # click's widest first column; what is longer stands on a line of its own
_OTHER = "Other options"


def _folded(line: str, formatter: click.HelpFormatter) -> str:
    """Return a command line in lines that a shell joins; an option and its value stay together."""
    margin = " " * formatter.current_indent
    room = formatter.width - len(margin)
    joined = re.sub(r"(--\S+) (?!--)", "\\1\u00a0", line)
    lines = [line] if len(line) <= room else textwrap.wrap(joined, room - 6, break_on_hyphens=False)
    return margin + f" \\\n{margin}    ".join(lines).replace("\u00a0", " ") + "\n"


class _Documented(click.Command):
    """A command whose help ends with examples, which are command lines."""

    def __init__(self, *args: Any, examples: Sequence[str], **more: Any) -> None:
        super().__init__(*args, **more)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
            for example in self.examples:
                formatter.write(_folded(example, formatter))


class Verb(_Documented):
    """A verb; ``groups`` has titles, and the names of the options below each. Options of no group come last."""

    def __init__(self, *args: Any, groups: Mapping[str, Sequence[str]] | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.groups = groups or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if not self.groups:
            super().format_options(ctx, formatter)
            return
        options = {each.name: each for each in self.get_params(ctx) if isinstance(each, click.Option)}
        rest = [name for name in options if not any(name in names for names in self.groups.values())]
        records = {name: record for name, each in options.items() if (record := each.get_help_record(ctx))}
        width = max(min(len(first), _COLUMN) for first, _ in records.values())
        for title, names in {**self.groups, _OTHER: rest}.items():
            with formatter.section(title):
                formatter.write_dl([(f"{records[name][0]:{width}}", records[name][1]) for name in names])


class VerbGroup(_Documented, click.Group):
    """A verb that has verbs of its own."""

    command_class = Verb


class OwnVerbGroup(VerbGroup):
    """A verb that does something itself, with options and arguments, and has verbs of its own: ``ledger``."""

    allow_extra_args, allow_interspersed_args = False, True

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"subcommand_metavar": "", "no_args_is_help": False, **more})

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Return the context of the verb that comes first, else of this one."""
        if args and (verb := self.commands.get(args[0])):
            parent = click.Context(self, parent=parent, info_name=info_name)
            return verb.make_context(args[0], args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters; for the path of a verb of its own there are none."""
        return super().get_params(ctx) if ctx.command is self else []

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        return click.Command.invoke(self, ctx)
