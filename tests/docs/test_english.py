"""README, docs and code are plain English as far as a program can tell, and links lead somewhere."""

import ast
import io
import re
import textwrap
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/**/README.md")])
LONGEST = 35  # words; 25 is the goal
LONGEST_IN_CODE = 25
MODULES = sorted(path for folder in ("zslbench", "datasets", "results") for path in (ROOT / folder).rglob("*.py"))

# What readers with another first language stumble over -> what to write instead.
BANNED = {
    r"mend(s|ed|ing)?": "fix",
    r"(tell|tells|telling|told)( \w+){0,6} apart": "distinguish",
    r"loud(ly)?": "visible, clear",
    r"(hold|holds|holding|held)( \w+){0,4} against": "compare with, check against",
    r"(is|are|be|was|were|been) told": "say it in the active",
    r"none where": "nothing if",
    r"takes? it for": "take to be",
    r"nothing need": "does not need",
    r"anew": "again",
    r"whichever": "any",
    r"hence": "so",
}
MEASURES = (
    r"s|ms|seconds?|minutes?|hours?|days?|rows?|lines?|columns?|vectors?|values?|frames?|videos?|clips?|captions?|"
    r"files?|tests?|features?|words?|numbers?|lists?|splits?|objects?|arrays?|points?|terms?|tensors?|datasets?|"
    r"sections?|entry|entries|folders?|bytes?|MB|GB|MiB|GiB|texts?|attributes?|descriptions?|templates?|places?|once"
)
UNITS = (
    r"video|class|split|cell|fit|epoch|second|minute|day|frame|clip|row|method|dataset|worker|source|verb|theme|check|"
    r"step|iteration|pair|component|channel|dimension|name|line|family|kind|attribute|batch"
)
BANNED[rf"({MEASURES}) an? ({UNITS})"] = "per"

DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef
FENCE = re.compile(r"^\s*(```|~~~)")
ITEM = re.compile(r"^\s*([*+-]|\d+\.)\s+")
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
ABBREVIATION = re.compile(r"\b(et al|e\.g|i\.e|cf|vs|etc)\.")


def page(path):
    return path.relative_to(ROOT).as_posix()


def without_code_blocks(text):
    """Return the lines of a page; those of fenced code are empty, so that numbers of lines stay true."""
    lines, inside = [], False
    for line in text.splitlines():
        fence = bool(FENCE.match(line))
        lines.append("" if inside or fence else line)
        inside ^= fence
    return lines


def paragraphs(text):
    """Yield the first line's number and the text of each paragraph or list item; no headings, tables or pictures."""
    start, words = 0, []
    for number, line in enumerate([*without_code_blocks(text), ""], 1):
        ends = not line.strip() or line.lstrip().startswith(("|", "#", "<!--"))
        if words and (ends or ITEM.match(line)):
            yield start, " ".join(words)
            words = []
        if not ends:
            start = start if words else number
            words.append(ITEM.sub("", line).strip())


def prose(paragraph):
    """Return a paragraph's words as they are read: links as their text, code as one word, no marks of Markdown."""
    paragraph = CODE.sub("Code", IMAGE.sub("", paragraph))
    return LINK.sub(r"\1", paragraph).replace("*", "").replace("...", " ")


def sentences(paragraph):
    """Split a paragraph where a full stop, question or exclamation mark ends a word."""
    text = ABBREVIATION.sub(lambda match: match[0].rstrip("."), prose(paragraph))
    return [part for part in re.split(r"(?<=[.!?])[\"')\]]*\s+|(?<=[.!?][\"')])\s+", text) if part]


def words(sentence):
    """Return what counts as a word: numbers do not, so that lists of figures may be long."""
    return re.findall(r"[^\W\d_][\w'-]*", sentence)


def long_sentences(text, longest=LONGEST):
    return [
        f"line {line}: {len(words(sentence))} words: {sentence}"
        for line, paragraph in paragraphs(text)
        for sentence in sentences(paragraph)
        if len(words(sentence)) > longest
    ]


def banned_words(text):
    """Return what is banned; table cells are read too."""
    text = CODE.sub(lambda code: re.sub(r"\S", "_", code[0]), "\n".join(without_code_blocks(text)))
    found = []
    for pattern, instead in BANNED.items():
        for match in re.finditer(rf"\b({pattern})\b".replace(" ", r"\s+"), text, re.IGNORECASE):
            found.append(f"line {text[: match.start()].count(chr(10)) + 1}: {match[0]!r}: {instead}")
    return found


def documented(node):
    """Return the prose of a docstring: no examples, no headings, and no names of parameters."""
    text = (ast.get_docstring(node) or "").partition("Examples\n--------")[0]
    text = re.sub(r"^[A-Z]\w+\n-+$", "", text, flags=re.MULTILINE)
    return re.sub(r"^( *)[\w*.]+(, [\w*.]+)*\n(?=\1 +\S)", "\n", text, flags=re.MULTILINE)


def prose_of_code(source):
    """Yield the line and the text of each docstring, other string and comment of a module."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED):
            yield node.body[0].lineno if node.body else 1, documented(node)
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else "`x`" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n    " not in node.value:
            yield node.lineno, node.value


def banned_in_code(source):
    return [f"line {line}, {found}" for line, text in prose_of_code(source) for found in banned_words(text)]


def long_in_code(source):
    """Return the long sentences of docstrings."""
    nodes = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    return [found for node in nodes for found in long_sentences(documented(node), LONGEST_IN_CODE)]


def anchors(text):
    """Return the anchors that GitHub gives to a page's headings."""
    found = []
    for line in without_code_blocks(text):
        if heading := re.match(r"#+\s+(.*)", line):
            name = re.sub(r"[^\w\- ]", "", LINK.sub(r"\1", heading[1]).lower()).strip().replace(" ", "-")
            repeated = sum(name == re.sub(r"-\d+$", "", other) for other in found)
            found.append(f"{name}-{repeated}" if name in found else name)
    return found


def dead_links(text, path):
    """Return the relative links of the page at ``path`` whose file or heading does not exist."""
    found = []
    for _, target in LINK.findall(CODE.sub("", "\n".join(without_code_blocks(text)))):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = path.parent / name
        if name and not other.exists():
            found.append(f"{target}: there is no such file")
        elif anchor and anchor not in anchors(other.read_text(encoding="utf-8") if name else text):
            found.append(f"{target}: the page has no such heading")
    return found


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_links_lead_to_files_and_headings_that_exist(path):
    assert not dead_links(path.read_text(encoding="utf-8"), path)


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_no_page_has_banned_words(path):
    assert not banned_words(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_no_sentence_is_longer_than_35_words(path):
    assert not long_sentences(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=page)
def test_no_module_has_banned_words(path):
    assert not banned_in_code(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MODULES, ids=page)
def test_no_docstring_has_a_sentence_longer_than_25_words(path):
    assert not long_in_code(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    ["# It cannot be told apart.", 'raise ValueError("mend the file")', 'text = f"{name} is read anew"',
     'def f():\n    """Return one row\n    a video."""', 'class A:\n    """One vector a class."""'],
)  # fmt: skip
def test_banned_words_are_found_in_comments_messages_and_docstrings(line):
    assert banned_in_code(f"{line}\n")


def test_names_of_parameters_examples_and_code_are_no_prose():
    source = """
        def read(folder):
            \'\'\'Read a class.

            Parameters
            ----------
            folder
                A class per folder; ``mend`` is a name.

            Examples
            --------
            >>> mend("one video a line")
            \'\'\'
    """
    assert not banned_in_code(textwrap.dedent(source))


def test_a_long_sentence_of_a_docstring_is_found():
    assert long_in_code(f'def f():\n    """Return it.\n\n    {"word " * 26}."""\n')
    assert not long_in_code(f'def f():\n    """Return it.\n\n    {"word " * 25}."""\n')


@pytest.mark.parametrize(
    "text",
    ["It mends the set.", "They cannot be told apart.", "It says so loudly.", "The test holds it against the rules.",
     "A method is\ntold the counts.", "| file | one row a video |", "It takes two seconds a fit."],
)  # fmt: skip
def test_banned_words_are_found_in_prose_and_in_tables(text):
    assert banned_words(f"# Page\n\n{text}\n")


@pytest.mark.parametrize("text", ["One row per video.", "`mend a video`", "```\nloud\n```"])
def test_plain_words_code_and_output_are_not_banned(text):
    assert not banned_words(text)


def test_a_long_sentence_is_found_across_lines_and_list_items_are_not_joined():
    line = "word " * 18
    assert [found.split(":")[0] for found in long_sentences(f"First.\n\n{line}\n{line}.")] == ["line 3"]
    assert not long_sentences(f"* {line}\n* {line}\n\n{line}")
    assert not long_sentences(f"{line} e.g. this. {line}")


@pytest.mark.parametrize(
    "text",
    ["| one | row |\n" * 40, "0.5, " * 90, "`a` " * 9 + "12 " * 90,
     "```sh\n" + "word " * 90 + "\n```", "# " + "word " * 90],
    ids=["table", "figures", "code and figures", "code block", "heading"],
)  # fmt: skip
def test_tables_figures_code_and_headings_may_be_long(text):
    assert not long_sentences(text)


def test_abbreviations_and_decimals_end_no_sentence():
    assert len(sentences("Xu et al. (2017) report 5.0 %, i.e. little. Is that so? It is.")) == 3


def test_dead_links_are_found(tmp_path):
    here, there = tmp_path / "here.md", tmp_path / "there.md"
    there.write_text("# The page\n\n## Some `code`, and more\n", encoding="utf-8")
    good = "[a](there.md) [b](there.md#some-code-and-more) [c](#top) [d](https://example.org/x)"
    assert not dead_links(f"# Top\n\n{good}\n\n```\n[e](gone.md)\n```\n", here)
    assert len(dead_links("# Top\n[a](gone.md) [b](there.md#gone)\n[c](#gone) ![d](gone.png)\n", here)) == 4
