"""What pyproject.toml cannot say: package indexes show README alone, so its relative links become addresses."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def absolute(readme):
    """Return README with links to this version's files in the repository; pictures need the address of the raw file."""
    base, version = PROJECT["urls"]["Repository"], PROJECT["version"]
    raw = base.replace("https://github.com/", "https://raw.githubusercontent.com/")
    readme = re.sub(r"(!\[[^\]]*\]\()(?!\w+:)", rf"\g<1>{raw}/v{version}/", readme)
    return re.sub(r"(?<!\!)(\[[^\]]*\]\()(?!\w+:|#)", rf"\g<1>{base}/blob/v{version}/", readme)


setup(
    long_description=absolute((ROOT / "README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
)
