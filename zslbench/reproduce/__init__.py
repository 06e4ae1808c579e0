"""Reproduction: a paper's experiments, run again, and its tables beside ours."""
