"""``zslbench new-method``: write an installable package with an example method."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cli._help import Verb
from zslbench.cli._output import echo


@click.command(cls=Verb, examples=["zslbench new-method my-idea"])
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the package; it must not exist. [default: ./NAME]",
)
def command(name: str, folder: Path | None) -> None:
    """Write an installable package with an example method.

    It contains one method that works, tests that run the conformance checks, and a CI file.
    """
    from zslbench.testing.new_package import write_package

    folder = folder or Path(name)
    for path in write_package(name, folder):
        echo(f"  {folder / path}")
    echo(f"\nNext:\n  cd {folder}\n  pip install -e '.[test]'\n  zslbench check {name}")
    echo(f"  zslbench run --method {name} --method ridge --dataset hmdb51")
