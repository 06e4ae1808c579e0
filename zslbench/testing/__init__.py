"""Helps for plugin authors; the conformance checks will live here."""
