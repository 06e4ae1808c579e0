"""What mkdocs.yml cannot say: pages that are generated, and links from docs/ into the rest of the repository."""

import json
import posixpath
import re
import tomllib
from pathlib import Path

import click
from mkdocs.structure.files import File

from zslbench.cli import cli

ROOT = Path(__file__).parents[1]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
LINK = re.compile(r"(\]\()(?!\w+:|#|/)([^)\s]+)(\))")
FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)


def helps(command, name, parent=None, depth=1):
    """Yield the help of a command and of each of its verbs, under headings."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=80, color=False)
    yield f"{'#' * depth} {context.command_path}\n\n```text\n{click.unstyle(command.get_help(context))}\n```\n"
    for verb, inner in getattr(command, "commands", {}).items():
        yield from helps(inner, verb, context, depth + 1)


def verbs():
    """Return (verb, the page of its help) of the whole command line."""
    above = click.Context(cli, info_name="zslbench")
    return {verb: "\n".join(helps(cli.get_command(above, verb), verb, above)) for verb in cli.list_commands(above)}


def notebook(path):
    """Return a notebook as Markdown; its code is not run here but by the tests."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = [
        "".join(cell["source"]) if cell["cell_type"] == "markdown" else f"```python\n{''.join(cell['source'])}\n```"
        for cell in cells
    ]
    return "\n\n".join([*texts, f"[This notebook in the repository](../../{path.relative_to(ROOT).as_posix()})"])


def on_config(config):
    """Put the generated pages into the navigation, below the titles that mkdocs.yml has for them."""
    config.extra["social"] = [{"icon": "fontawesome/brands/github", "link": REPOSITORY, "name": "Repository"}]
    config.generated = {
        "Command line": {f"reference/cli/{verb}.md": text for verb, text in verbs().items()},
        "Notebooks": {f"examples/{p.stem}.md": notebook(p) for p in sorted((ROOT / "examples").glob("*.ipynb"))},
    }
    for section in config.nav:
        for parts in section.values():
            for part in parts if isinstance(parts, list) else []:
                for title, pages in part.items() if isinstance(part, dict) else []:
                    if title in config.generated:
                        pages += config.generated[title]
    return config


def on_files(files, config):
    """Add the generated pages."""
    for pages in config.generated.values():
        for name, text in pages.items():
            files.append(File.generated(config, name, content=text))
    return files


def outside(target, page):
    """Return the address in the repository of a link that leads out of docs/; any other link as it is."""
    path, _, anchor = target.partition("#")
    inside = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), path))
    if inside.startswith("docs/"):
        return target
    kind = "tree" if (ROOT / inside).is_dir() else "blob"
    return f"{REPOSITORY}/{kind}/main/{inside}{'#' * bool(anchor)}{anchor}"


def on_page_markdown(markdown, page, config, files):
    """Make links to files outside docs/ lead to the repository, except in blocks of code."""
    above = click.Context(cli)
    listed = [
        f"* [`zslbench {verb}`](cli/{verb}.md): {cli.get_command(above, verb).get_short_help_str(120)}"
        for verb in cli.list_commands(above)
    ]
    parts = FENCE.split(markdown.replace("<!-- verbs -->", "\n".join(listed)))
    for i in range(0, len(parts), 2):
        parts[i] = LINK.sub(lambda m: m[1] + outside(m[2], page.file.src_uri) + m[3], parts[i])
    return "".join(parts)
