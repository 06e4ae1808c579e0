"""Every page of help is text that a terminal shows as it was meant, and ends with examples that work."""

import shlex
import subprocess
import sys

import click
import pytest

from zslbench.cli import cli
from zslbench.cli._help import OwnVerbGroup, Verb


def contexts(command, ctx=None, name="zslbench"):
    ctx = click.Context(command, parent=ctx, info_name=name, terminal_width=80, **(command.context_settings))
    yield ctx.command_path, ctx
    if isinstance(command, click.Group):
        for each in command.list_commands(ctx):
            yield from contexts(command.get_command(ctx, each), ctx, each)


def examples(ctx):
    return getattr(ctx.command, "examples", ())  # click's own classes have none


FOUND = dict(contexts(cli))
EXAMPLES = [(verb, example) for verb, ctx in FOUND.items() for example in examples(ctx)]

# Their verbs read only what is shipped, within a second or so.
SHIPPED = [
    "datasets hmdb51", "datasets list", "datasets show", "datasets lists ucf101  #", "extract --list-backbones",
    "features catalog", "features list", "ledger --dataset", "ledger action2vec",
    "methods", "protocols", "semantics list", "splits hmdb51",
    "splits list", "splits show", "texts list", "texts show", "new-method",
    "splits filter ucf101 --rule truze-v1",
]  # fmt: skip


def words(example):
    return shlex.split(example, comments=True)


def test_no_help_has_a_literal_mark_of_click():
    assert len(FOUND) > 60
    assert [name for name, ctx in FOUND.items() if "\\b" in ctx.get_help()] == []


def test_no_line_of_help_is_wider_than_80_columns():
    wide = [(name, line) for name, ctx in FOUND.items() for line in ctx.get_help().splitlines() if len(line) > 80]
    assert wide == []


def test_every_help_ends_with_examples_of_its_verb():
    for name, ctx in FOUND.items():
        head, _, end = ctx.get_help().rpartition("\nExample")
        assert head, name
        lines = end.partition(":\n")[2].replace("\\\n", " ").splitlines()
        assert [words(line) for line in lines] == [words(example) for example in examples(ctx)], name
        assert all(" ".join(words(example)).startswith(name) for example in examples(ctx)), name


@pytest.mark.parametrize(("verb", "example"), EXAMPLES)
def test_click_accepts_every_example(verb, example):
    ctx, args = FOUND["zslbench"], words(example)[1:]
    while isinstance(ctx.command, click.Group):
        if isinstance(ctx.command, OwnVerbGroup) and args[0] not in ctx.command.commands:
            break
        name, command, args = ctx.command.resolve_command(ctx, args)
        assert command is not None, f"{example} is of no verb"
        ctx = FOUND[f"{ctx.command_path} {name}"]
    with ctx.command.make_context(ctx.info_name, list(args), parent=ctx.parent):
        pass


@pytest.mark.parametrize("example", [e for _, e in EXAMPLES if any(f"{e[9:]} ".startswith(f"{s} ") for s in SHIPPED)])
def test_examples_that_read_only_what_is_shipped_run(example, zslbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = zslbench(*words(example)[1:])
    assert (code, "Traceback" in err) == (0, False), err
    assert out


def test_every_option_of_run_stands_in_a_group_by_purpose():
    ctx = FOUND["zslbench run"]
    assert ctx.get_help().partition("\nOther options:")[2].split()[:2] == ["-h,", "--help"]
    titles = [line for line in ctx.get_help().splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "What to run:", "On what data:", "Protocol and splits:", "How to run:", "Where results go:", "Checks:",
        "Other options:", "Examples:",
    ]  # fmt: skip


def test_the_help_of_groups_loses_no_option():
    for name, ctx in FOUND.items():
        grouped = isinstance(ctx.command, Verb) and ctx.command.groups
        for option in ctx.command.get_params(ctx) if grouped else ():
            if isinstance(option, click.Option):
                assert ctx.get_help().count(f"  {option.get_help_record(ctx)[0]}") == 1, (name, option.name)


def test_a_verb_cannot_be_written_without_an_example():
    with pytest.raises(TypeError, match="examples"):
        click.command(cls=Verb)(lambda: None)


@pytest.mark.parametrize("args", [[], ["features"], ["results"]])
def test_without_a_verb_the_help_is_printed_and_nothing_is_wrong(args):
    done = subprocess.run([sys.executable, "-m", "zslbench", *args], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: zslbench")
    assert "\nExamples:\n" in done.stdout
