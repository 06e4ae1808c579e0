"""The command line. Each verb has a module of its own, which is imported when the verb is called."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from zslbench.cli._help import VerbGroup
from zslbench.cli._interrupt import stoppable, tell_stopped
from zslbench.cli._names import with_names
from zslbench.cli._output import PIPE_CLOSED, OutputError, echo, finish_output, prepare_streams, release_streams
from zslbench.cli._variables import unknown_variables
from zslbench.errors import ZslbenchError, suggest
from zslbench.files import fix_data_root
from zslbench.version import __version__

# verb -> (module of this package, one line for --help)
_VERBS = {
    "run": ("run", "Run methods on feature sets and keep every result."),
    "tune": ("tune", "Search a method's parameters on held-out seen classes."),
    "leaderboard": ("leaderboard", "Show the results as a table."),
    "compare": ("compare", "Test which methods differ, class by class."),
    "results": ("results", "Verify, list, show, remove, export, import and merge stored cells."),
    "prompts": ("prompts", "Measure how much the wording of class names changes accuracy."),
    "cite": ("cite", "Print BibTeX of everything that results rest on."),
    "report": ("report", "Write all results into one HTML page, or a paper's appendix."),
    "site": ("site", "Write a static leaderboard of many results folders and bundles."),
    "reproduce": ("reproduce", "Run a paper's experiments and compare its figures with the measured ones."),
    "ledger": ("ledger", "Browse published figures, with their sources and caveats."),
    "protocols": ("protocols", "List the settings in which papers report figures, and who reports them."),
    "why": ("why", "List what differs between a published figure and a measured one."),
    "audit": ("audit", "Find leaks: test data that a method or its features may have seen."),
    "semantic-tests": ("semantic_tests", "Compare class embeddings with WordNet, and test their vector arithmetic."),
    "embeddings": ("embeddings", "Export, query and draw class embeddings."),
    "models": ("models", "List the saved models."),
    "embed": ("embed", "Embed videos with a saved model."),
    "predict": ("predict", "Recognise classes of any names in videos with a saved model."),
    "methods": ("methods", "List the methods, or show one."),
    "datasets": ("datasets", "List the datasets, or show one."),
    "features": ("features", "Import, list, show, verify and remove feature sets."),
    "extract": ("extract", "Extract features from videos."),
    "show": ("show", "Draw the sampled frames of a video, and the classes that a model predicts."),
    "semantics": ("semantics", "Import, list, show and remove class vectors."),
    "texts": ("texts", "List, show, import, encode and remove class descriptions."),
    "splits": ("splits", "List, verify and import class splits."),
    "resources": ("resources", "Find or download data that other verbs need, such as WordNet."),
    "check": ("check", "Check a method plugin."),
    "new-method": ("new_method", "Write an installable package with an example method."),
    "track": ("track", "Copy the results into MLflow."),
    "ui": ("ui", "Show the results in MLflow's web pages."),
    "doctor": ("doctor", "Show what is installed and present, and how to get the rest."),
}


class _Verbs(VerbGroup):
    """A group that knows the help lines of its verbs without importing them, so that ``--help`` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _VERBS:
            return None
        command = importlib.import_module(f"zslbench.cli.{_VERBS[name][0]}").command
        _name_variables(command, f"ZSLBENCH_{name}")
        with_names(command)
        return command  # type: ignore[no-any-return]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the verbs; click would import all of them for it."""
        verbs = [CompletionItem(name, help=line) for name, (_, line) in _VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    # Around all work and all help, but inside click, which would end with code 1 where a pipe is closed.
    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _places():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _places():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS and not args[0].startswith("-"):
            raise ZslbenchError(f"zslbench has no verb {args[0]!r}.{suggest(args[0], _VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in _VERBS.items()])


def _name_variables(command: click.Command, prefix: str) -> None:
    """Name the environment variable of each option after the option; click would use the function's name."""
    for option in command.params:
        if isinstance(option, click.Option) and option.envvar is None:
            # The longest name is the long form: of -h and --help, --help.
            option.envvar = f"{prefix}_{max(option.opts, key=len).lstrip('-')}".replace("-", "_").upper()
    for name, verb in getattr(command, "commands", {}).items():
        _name_variables(verb, f"{prefix}_{name}")


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    examples=["zslbench run --method action2vec --method ridge --dataset hmdb51", "zslbench leaderboard"],
)
@click.version_option(__version__, prog_name="zslbench")
def cli() -> None:
    """Compare zero-shot action recognition methods on the same splits, class vectors and metrics.

    Every option can also be set by an environment variable, ZSLBENCH_<VERB>_<OPTION>.
    """
    fix_data_root()


# What a place can refuse, of all that the system reports: full, read-only, no permission, a file in the way, ...
_PLACES = frozenset({
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG,
    errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENXIO,
    errno.EPIPE,
})  # fmt: skip


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; exit with 0, with 2 and one sentence for bad input, or with 1 and a traceback for a bug."""
    # Before torch is loaded: idle threads that spin take a shared machine's cores from the threads that work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    prepare_streams()
    for note in unknown_variables(os.environ, cli):
        echo(f"note: {note}", err=True)
    try:
        code = _run(args)
        finish_output()
    except OutputError as error:
        code = PIPE_CLOSED if error.closed else _complain(str(error))
    release_streams()
    sys.exit(code)


def _run(args: list[str] | None) -> int:
    try:
        # In standalone mode, click would print its own messages and exit: all messages here have one form.
        with stoppable():
            code = cli.main(args=args, prog_name="zslbench", standalone_mode=False)
    except ZslbenchError as error:
        return _complain(str(error))
    except click.UsageError as error:
        if (message := error.format_message()).startswith("Usage:"):  # a group without a verb: the help of the group
            echo(message)
            return 0
        return _complain(message, error.ctx)
    except click.ClickException as error:
        return _complain(error.format_message())
    except (click.Abort, KeyboardInterrupt) as error:
        return tell_stopped(error)
    return code if isinstance(code, int) else 0


@contextlib.contextmanager
def _places() -> Iterator[None]:
    """Turn what the system refuses into one sentence; any other error is a bug.

    Raises
    ------
    ZslbenchError
        A file or folder cannot be read or written.
    OutputError
        Stdout cannot be written.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        wrong = error.object[error.start : error.end]  # from bytes of the command line, or from JSON
        raise ZslbenchError(
            f"a name or a value has {wrong!r}, which no text in UTF-8 can hold; leave it out."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOENT and not _folder_exists():
            raise ZslbenchError("the current folder does not exist any more; change to another one.") from error
        if error.errno not in _PLACES:
            raise
        if not error.filename:  # a stream; all other errors name their file
            raise OutputError(error) from error
        raise ZslbenchError(
            f"{error.filename} cannot be read or written ({error.strerror}); check the path, its permissions and the "
            f"disk."
        ) from error


def _folder_exists() -> bool:
    try:
        return bool(os.getcwd())  # noqa: PTH109 - Path.cwd() is the same
    except OSError:
        return False


def _complain(sentence: str, ctx: click.Context | None = None) -> int:
    hint = f" See '{ctx.command_path} --help'." if ctx is not None else ""
    lines = (line.strip() for line in sentence.splitlines())  # libraries' messages have several
    echo(f"zslbench: {' '.join(filter(None, lines))}{hint}", err=True)
    return 2
