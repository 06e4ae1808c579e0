"""Published figures, papers' experiments and measured leaderboards: data, found by entry points."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def published() -> list[dict[str, Any]]:
    """Return the published figures, for the entry-point group ``zslbench.published``."""
    files = sorted((_HERE / "published").glob("*.json"))
    return [row for path in files for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def action2vec() -> Path:
    """Return the file of Action2Vec's experiments, for the entry-point group ``zslbench.papers``."""
    return _HERE / "papers" / "action2vec.toml"
