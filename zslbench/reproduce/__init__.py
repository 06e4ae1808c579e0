"""Reproduction: run a paper's experiments again, and compare its tables with the measured ones."""
