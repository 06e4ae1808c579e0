"""What a command prints: names from data as text, a full disk and a closed pipe, misspelt variables."""

import contextlib
import errno
import os
import re
import sys
from pathlib import Path

import click
import pytest
from faults.hostile import NAMES, UNSEEN

from zslbench import cli as room
from zslbench.cli import _VERBS, cli, main
from zslbench.cli._output import echo
from zslbench.cli._variables import unknown_variables
from zslbench.errors import ZslbenchError
from zslbench.tables.progress import progress

READS = [[verb, "--help"] for verb in _VERBS] + [
    ["--help"], ["--version"], ["methods"], ["methods", "ridge"], ["datasets"], ["datasets", "hmdb51"], ["splits"],
    ["splits", "show", "hmdb51", "xu-50/50", "0"], ["ledger"], ["ledger", "--format", "csv"], ["features", "list"],
    ["texts", "show", "hmdb51"], ["semantics", "list"],
]  # fmt: skip


@pytest.mark.parametrize("option", ["--results", "--tracking-uri"])
@pytest.mark.parametrize("verb", [["run", "--method", "ridge", "--dataset", "hmdb51"], ["track", "sync"]])
def test_a_place_of_mlflow_that_is_not_utf8_is_refused_before_any_work(
    zslbench, tmp_path, monkeypatch, verb, option, data_root
):
    monkeypatch.chdir(tmp_path)
    code, out, err = zslbench(*verb, option, os.fsdecode(b"sqlite:///\xff"))
    assert (code, out) == (2, "")
    assert err.startswith("zslbench: a name or a value has '\\udcff', which no text in UTF-8 can hold")
    assert not list(tmp_path.iterdir())


def test_every_word_of_the_command_line_passes_the_one_place_that_escapes():
    for path in Path(room.__file__).parent.glob("*.py"):
        found = re.findall(r"click\.s?echo\(|\bprint\(", path.read_text(encoding="utf-8"))
        assert [each for each in found if path.name != "_output.py" and each != "console.print("] in (
            [], ["print("] * (path.name == "_progress.py"),
        ), path  # fmt: skip


@pytest.mark.parametrize("name", [*NAMES.values(), *UNSEEN.values()], ids=[*NAMES, *UNSEEN])
def test_a_name_is_printed_as_text(name, capsys):
    echo(f"class {name}")
    echo(name, err=True)
    for shown in capsys.readouterr():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]", shown)
        assert name in shown or name in UNSEEN.values()


@pytest.mark.parametrize("name", [*NAMES.values(), *UNSEEN.values()], ids=[*NAMES, *UNSEEN])
def test_a_bar_shows_a_name_as_text(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress(name, "%") as show:
        show(1, 2)
    shown = re.sub(r"\s", "", capsys.readouterr().err)
    if name in NAMES.values():
        assert re.sub(r"\s", "", name)[:20] in shown or len(name) > 60


@pytest.fixture
def full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with contextlib.suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as stream:
        yield stream


@pytest.mark.parametrize("args", READS, ids=" ".join)
def test_a_full_disk_behind_stdout_is_one_sentence(args, monkeypatch, capsys, full_disk):
    monkeypatch.setattr(sys, "stdout", full_disk)
    with pytest.raises(SystemExit) as stopped:
        main(args)
    err = capsys.readouterr().err
    assert (stopped.value.code, len(err.splitlines())) == (2, 1)
    assert "the output cannot be written (No space left on device)" in err


@pytest.mark.parametrize("args", READS, ids=" ".join)
def test_a_closed_pipe_behind_stdout_ends_without_a_word(args, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w", encoding="utf-8"))
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert (stopped.value.code, capsys.readouterr().err) == (141, "")


def test_nobody_on_stderr_does_not_end_the_work(monkeypatch, full_disk):
    monkeypatch.setattr(sys, "stderr", full_disk)
    echo("progress", err=True)
    with pytest.raises(SystemExit) as stopped:
        main(["rnu"])
    assert stopped.value.code == 2


def test_a_terminal_of_ascii_gets_escapes(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as stopped:
            main(["methods", "action2vec"])
    assert stopped.value.code == 0


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 2, "/root/x cannot be read or written (Perm"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2, "File name too long"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a/b"), 2, "a/b cannot be read"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "the output cannot be written (No space"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (UnicodeEncodeError("utf-8", "a\udcff", 1, 2, "surrogates not allowed"), 2, "a value has '\\udcff', which no"),
        (ZslbenchError("first\n\tsecond"), 2, "zslbench: first second\n"),
        (click.UsageError("Choose from:\n\ta,\n\tb"), 2, "Choose from: a, b"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(error, code, sentence, monkeypatch, zslbench):
    def fail(*_):
        raise error

    monkeypatch.setattr(cli, "get_command", fail)
    found, _, err = zslbench("methods")
    assert (found, len(err.splitlines())) == (code, bool(sentence))
    assert sentence in err


@pytest.mark.parametrize("bug", [FileNotFoundError(errno.ENOENT, "No such file", "x"), ValueError("x"), SystemExit(7)])
def test_a_bug_keeps_its_traceback(bug, monkeypatch):
    def fail(*_):
        raise bug

    monkeypatch.setattr(cli, "get_command", fail)
    with pytest.raises(type(bug)) as raised:
        main(["methods"])
    assert raised.value is bug


def test_a_folder_that_is_gone_is_no_bug(tmp_path, monkeypatch, zslbench):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    code, _, err = zslbench("report")
    assert (code, "Traceback" in err) == (2, False)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("ZSLBENCH_DATA", "ZSLBENCH_DATA_ROOT"),
        ("ZSLBENCH_DATAROOT", "ZSLBENCH_DATA_ROOT"),
        ("zslbench_data_root", "ZSLBENCH_DATA_ROOT"),
        ("ZSLBENCH_RESULT", "ZSLBENCH_RESULTS"),
        ("ZSLBENCH_RUN_METOD", "ZSLBENCH_RUN_METHOD"),
        ("ZSLBENCH_FEATURES_IMPORT_FEATURE", "ZSLBENCH_FEATURES_IMPORT_FEATURES"),
        ("ZSLBENCH_SEMANTIC_TESTS_ARITHMETIC_OUTT", "ZSLBENCH_SEMANTIC_TESTS_ARITHMETIC_OUT"),
    ],
)
def test_a_misspelt_variable_is_warned_of(wrong, nearest, monkeypatch, zslbench):
    monkeypatch.setenv(wrong, "1")
    code, out, err = zslbench("--version")
    assert (code, bool(out)) == (0, True)
    assert err == f"note: nothing reads the environment variable {wrong}. Did you mean {nearest}?\n"


def test_every_variable_of_an_option_is_known_and_so_are_the_others():
    def variables(command):
        for option in command.params:
            yield from [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
        for verb in getattr(command, "commands", {}).values():
            yield from variables(verb)

    named = {name for verb in _VERBS for name in variables(cli.get_command(click.Context(cli), verb))}
    assert len(named) > 200
    assert not list(unknown_variables({*named, "ZSLBENCH_DATA_ROOT", "ZSLBENCH_SHARED_DATA", "PATH"}, cli))


def test_known_variables_import_no_verb_but_their_own(monkeypatch):
    asked = []
    monkeypatch.setattr(cli, "get_command", lambda context, name: asked.append(name))
    assert not list(unknown_variables(["ZSLBENCH_DATA_ROOT", "HOME"], cli))
    assert asked == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("--memory-limit", size) for size in ("-5GiB", "0", "1e400", "nan", "1MiB", "x")]
    + [("--timeout", "nan"), ("--timeout", "inf"), ("--timeout", "-1"), ("--workers", "99999999"), ("--workers", "0")],
)
def test_a_limit_that_makes_no_sense_is_refused_before_any_work(option, value, zslbench, data_root):
    code, _, err = zslbench("run", "--method", "ridge", "--dataset", "hmdb51", option, value)
    assert (code, len(err.splitlines()), option in err) == (2, 1, True), err
    assert not data_root.exists()


@pytest.mark.parametrize("chosen", [None, "ACTIVE"])
def test_idle_threads_sleep_unless_the_user_chose_otherwise(monkeypatch, chosen):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == (chosen or "PASSIVE")
