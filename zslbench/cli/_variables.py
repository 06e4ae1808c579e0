"""Find environment variables that look like zslbench's and are not: a misspelt one would be ignored in silence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

import click

PREFIX = "ZSLBENCH_"
_REAL_DATA = f"{PREFIX}SHARED_DATA"  # read by the tests and by tools/


def unknown_variables(environment: Iterable[str], verbs: click.Group) -> Iterator[str]:
    """Yield a sentence for each variable that no option and no other part of zslbench reads.

    Parameters
    ----------
    environment
        Names of variables.
    verbs
        The command line. Verbs whose options could have one of these names are imported first, others only if needed.
    """
    from zslbench.files import DATA_ROOT_VARIABLE

    known = {DATA_ROOT_VARIABLE, _REAL_DATA}
    found = {name for name in environment if name.upper().startswith(PREFIX)} - known
    context = click.Context(verbs)
    for verb in sorted(verbs.list_commands(context), key=lambda verb: not any(map(_prefix(verb).match, found))):
        if found <= known:
            return
        known |= set(_options(context, verb))
    nearest = {name.upper(): name for name in known}
    for name in sorted(found - known):
        close = difflib.get_close_matches(name.upper(), nearest, n=1, cutoff=0)
        yield f"nothing reads the environment variable {name}. Did you mean {nearest[close[0]]}?"


def _prefix(verb: str) -> re.Pattern[str]:
    return re.compile(f"{PREFIX}{verb.replace('-', '_')}_", re.IGNORECASE)


def _options(context: click.Context, name: str) -> Iterator[str]:
    """Yield the variable of every option of a verb and of its own verbs."""
    command = context.command.get_command(context, name) if isinstance(context.command, click.Group) else None
    for option in command.params if command else ():
        names = option.envvar or ()
        yield from (names,) if isinstance(names, str) else names
    if isinstance(command, click.Group):
        inner = click.Context(command)
        for verb in command.list_commands(inner):
            yield from _options(inner, verb)
