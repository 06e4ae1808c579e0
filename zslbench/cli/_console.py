"""The parts that verbs share: options, questions and tables."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from zslbench.cells.store import Unreadable
from zslbench.cells.unreadable import RUNS_AGAIN, unreadable_text
from zslbench.cli._help import VerbGroup
from zslbench.cli._output import echo
from zslbench.compute import RunDevice, computing_on, current_offer
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.tables.text import visible
from zslbench.tables.widths import filled

_BUNDLE = "zslbench.bundle"  # of the context: the temporary folder, and the file that is unpacked there


class WrittenPath(click.Path):
    """The path of something to write, which counts from the working directory of now.

    Plugins run before it is written, and any of them may change the working directory.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the absolute path."""
        return Path(str(super().convert(value, param, ctx))).absolute()


def _in_utf8(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Return a place for MLflow's database; raise ``UnicodeEncodeError`` if it is not UTF-8.

    MLflow would try for minutes to open it.
    """
    str(value).encode()
    return value


RESULTS = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/runs"),
    callback=_in_utf8,
    envvar="ZSLBENCH_RESULTS",
    help="Folder of the results.",
)


def _fixed_uri(ctx: click.Context, param: click.Parameter, uri: str | None) -> str | None:
    """Return a tracking address whose path, if it is one, does not depend on the working directory."""
    uri = _in_utf8(ctx, param, uri)
    head, path = ("sqlite:///", uri[10:]) if uri and uri.startswith("sqlite:///") else ("", uri or "")
    local = head or ("/" in path and "://" not in path)
    return f"{head}{Path(path).absolute()}" if local else uri


TRACKING_URI = click.option(
    "--tracking-uri", callback=_fixed_uri, help="MLflow server. [default: mlflow.db in the results folder]"
)


def _offered(ctx: click.Context, param: click.Parameter, device: RunDevice) -> None:
    """Offer the device to all methods that the command runs."""
    ctx.with_resource(computing_on(device))


DEVICE = click.option(
    "--device",
    type=click.Choice(get_args(RunDevice)),
    default="auto",
    callback=_offered,
    expose_value=False,
    help="Where methods compute with torch; auto takes CUDA if there is a GPU.",
)


def check_device() -> None:
    """Raise an error if this machine lacks the device of the option ``--device``."""
    if missing := current_offer().missing:
        raise ZslbenchError(missing)


class _ReadResults(click.Path):
    """A folder of results, or a bundle, which is verified and unpacked into a temporary folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if ctx is None or not path.is_file():
            return path
        from zslbench.bundles.exchange import results_folder

        folder = ctx.with_resource(results_folder(path))
        ctx.meta[_BUNDLE] = folder, path
        return folder


def shown_path(path: Path) -> str:
    """Return the text of a path in the results folder; of a temporary one, that of the bundle."""
    folder, bundle = click.get_current_context().meta.get(_BUNDLE, (None, None))
    if folder is None or not path.is_relative_to(folder):
        return str(path)
    inside = path.relative_to(folder).parts[2:]  # below imported/NAME
    return f"{'/'.join(inside)} in {bundle}" if inside else str(bundle)


READ_RESULTS = click.option(
    "--results",
    type=_ReadResults(path_type=Path),
    default=Path("results/runs"),
    envvar="ZSLBENCH_RESULTS",
    help="Folder of the results, or a bundle FILE.zip.",
)


EXPLAIN = click.option("--explain", is_flag=True, help="Explain columns, marks and figures in whole sentences.")
EXPLAINED = "--explain says what the columns, marks and figures mean."


def add_options(options: Iterable[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """Return a decorator that gives a command these options, in their order."""

    def add(function: Any) -> Any:
        return reduce(lambda made, option: option(made), reversed(list(options)), function)

    return add


# Options of a model of transformers, beside the one that names it.
hub_options = add_options((
    click.option("--revision", help="Branch, tag or commit of a model on the hub. [default: main]"),
    click.option("--trust-remote-code", is_flag=True, help="Run Python code that comes with the model."),
))  # fmt: skip


def confirm(question: str, kept: str, *, yes: bool) -> None:
    """Ask unless ``yes``; if nobody can answer, say what was kept and what to add.

    Raises
    ------
    ZslbenchError
        Nobody can answer.
    """
    if not yes:
        try:
            click.confirm(visible(question), abort=True)
        except click.Abort as error:
            if sys.stdin.isatty():
                raise
            raise ZslbenchError(f"{kept}; add --yes if nobody can answer.") from error


class DatasetGroup(VerbGroup):
    """A group whose first argument can be a dataset: without a verb, its verb ``default`` gets it.

    Without arguments, or with options alone, its verb ``list`` is called.
    """

    default = "list"

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the verbs and the datasets."""
        from zslbench.datasets.catalog import dataset_names

        names = [CompletionItem(name) for name in dataset_names() if name.startswith(incomplete)]
        return [*super().shell_complete(ctx, incomplete), *names]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args and args[0].startswith("-") and args[0] not in ctx.help_option_names
        listed = not ctx.resilient_parsing and (options or not args)  # a shell that completes asks for all
        return super().parse_args(ctx, ["list", *args] if listed else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            from zslbench.datasets.catalog import dataset_name, dataset_names

            known = dataset_names()
            if dataset_name(args[0]) not in known:
                hint = suggest(args[0], [*known, *self.commands])
                raise NotFoundError(f"{args[0]!r} is neither a dataset nor a verb of {ctx.info_name}.{hint}")
            args = [self.default, *args]
        return super().resolve_command(ctx, args)


def command_line() -> str:
    """Return the command that is running, as a shell takes it."""
    return shlex.join(["zslbench", *sys.argv[1:]])


def tell_unreadable(cells: Sequence[Unreadable], then: str = RUNS_AGAIN) -> None:
    """Say which stored cells cannot be read, why, and what can be done."""
    if cells:
        echo(unreadable_text(cells, then), err=True)


def tell_marks(texts: Iterable[str]) -> None:
    """Say below a table what ``[W3]`` means, if a text has it."""
    from zslbench.audit.findings import mark_note

    if any(text.endswith("[W3]") for text in texts):
        echo(filled(mark_note("W3"), "", "  "))


def table(
    rows: Iterable[Sequence[Any]], headers: Sequence[str], *, right: Collection[str] = (), drop: Sequence[str] = (),
    widths: Mapping[str, int] = {}, least: Mapping[str, int] = {},
) -> None:  # fmt: skip
    """Print a plain table; the options are those of :func:`~zslbench.tables.writer.columns`."""
    from zslbench.tables.writer import columns, table_text

    echo(table_text("console", columns(headers, right=right, drop=drop, widths=widths, least=least), rows))
