"""Digests and seeds: everything that must come out the same on every machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces: equal values give equal text (NaN raises ``ValueError``)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the BLAKE2b digest (32 hex digits) of a JSON-able value."""
    return hashlib.blake2b(canonical_json(value).encode(), digest_size=16).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def derive_seed(*parts: str | int) -> int:
    """Return a seed in [0, 2**63) that is a hash of names.

    Each component hashes its own name and its inputs. So a new method or split never changes the random numbers of
    another.

    >>> derive_seed(0, "ridge", "hmdb51") == derive_seed(0, "ridge", "hmdb51")
    True
    """
    return int.from_bytes(hashlib.sha256(canonical_json(list(parts)).encode()).digest()[:8], "big") >> 1
