"""The version, in a module of its own: rooms that import the package itself would import all that it offers."""

__version__ = "0.2.0"
