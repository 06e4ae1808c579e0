"""Tiny fakes for tests of the harness and of plugins."""
