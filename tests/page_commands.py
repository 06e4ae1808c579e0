"""The commands of README and docs: how they are found in a page, and how they run in a test."""

import re
import shlex
import subprocess
import textwrap
import tomllib
from pathlib import Path

from plugins import install

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
OF_A_FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\b")  # the first line of a block that is the content of a file
HEREDOC = re.compile(r"<< '(\w+)'$")


def blocks(text):
    """Return (language, content) of each fenced block of a page."""
    return [(language, textwrap.dedent(content)) for _, language, content in BLOCK.findall(text)]


def shown_files(text):
    """Return name -> content of the files that a page shows: blocks whose first line names one."""
    found = [(OF_A_FILE.match(content), content) for _, content in blocks(text)]
    return {match[1]: content for match, content in found if match}


def logical_lines(block):
    """Yield the commands of a block of shell: continued lines, loops and here-documents are one."""
    lines = iter(block.splitlines())
    for line in lines:
        command = line
        while command.endswith("\\"):
            command += "\n" + next(lines)
        end = "done" if re.match(r"(for|while) ", command) else None
        while end and not re.match(rf"{end}\b", command.splitlines()[-1]):
            command += "\n" + next(lines)
        if heredoc := HEREDOC.search(command):
            while command.splitlines()[-1] != heredoc[1]:
                command += "\n" + next(lines)
        if command.strip() and not command.lstrip().startswith("#"):
            yield command


def transcript(block):
    """Yield the commands of a block that shows them with their output, after a dollar sign."""
    yield from re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)


def commands(text):
    """Return the commands of a page, from top to bottom."""
    return [
        command
        for language, content in blocks(text)
        for command in (logical_lines(content) if language == "sh" else transcript(content) if not language else [])
    ]


def parts(command):
    """Split a command at ``&&``, and each part into its words and the file that its output goes to."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        part, words = words[:end], words[end + 1 :]
        yield (part[:-2], part[-1]) if part[-2:-1] == [">"] else (part, None)


class Reader:
    """Somebody who types a page's commands, in one folder and one data root.

    Attributes
    ----------
    words
        Placeholder -> what the reader puts in its place, such as the id that an earlier command printed.
    """

    def __init__(self, zslbench, monkeypatch, cheap=(), leaves_out=lambda part: None):
        self.zslbench, self.monkeypatch, self.cheap, self.leaves_out = zslbench, monkeypatch, cheap, leaves_out
        self.words = {}

    def types(self, command, code=0):
        """Run a command; return its output, or raise AssertionError with what it said."""
        self.code = code  # the exit code that the page shows
        if re.match(r"(for|while) ", command):
            return "" if self.leaves_out(command) else self._shell(["bash", "-euc", command])
        return "".join(self._part(words, target) for words, target in parts(command))

    def _part(self, words, target):
        if self.leaves_out(" ".join(words)):
            if words[:3] == ["pip", "install", "-e"]:
                self._links(Path(words[3]))
            return ""
        words = [self.words.get(word, word) for word in words]
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.monkeypatch.setenv(name, value.replace("$PWD", str(Path.cwd())))
            return ""
        if words[0] == "cd":
            self.monkeypatch.chdir(words[1])
            return ""
        said = self._zslbench(words[1:]) if words[0] == "zslbench" else self._shell(words)
        if target:
            Path(target).write_text(said, encoding="utf-8")
        return said

    def _links(self, folder):
        """Make Python find a package and its entry points, as an editable install does."""
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        install(folder, "linked", "", project["entry-points"]["zslbench.methods"])
        self.monkeypatch.syspath_prepend(folder)

    def _zslbench(self, words):
        code, out, err = self.zslbench(*words, *self._shorter(words))
        assert code == self.code, f"{shlex.join(words)}: exit code {code}\n{out[-2000:]}\n{err[-2000:]}"
        return out

    def _shorter(self, words):
        """Return the settings that shorten the trainings of a command, but for those that it sets itself."""
        trains = words[0] in ("run", "tune", "reproduce") or words[:2] in (
            ["embeddings", "export"],
            ["embeddings", "picture"],
        )
        for name in self.cheap if trains else ():
            method, _, setting = name.partition(".")
            said = any(word.startswith(name.partition("=")[0] + "=") for word in words)
            if any(re.match(rf"{method}(:|$)", word) for word in words) and not said:
                yield from ("--set", f"{method}.{setting}")

    def _shell(self, words):
        found = subprocess.run(
            words, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False
        )
        assert found.returncode == 0, f"{shlex.join(words)}: {found.stdout[-2000:]}\n{found.stderr[-2000:]}"
        return found.stdout
