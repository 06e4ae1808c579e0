"""The benchmark harness of zero-shot action recognition."""

__version__ = "0.1.0"
