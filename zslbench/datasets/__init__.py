"""Datasets: class lists, their splits, label sets, and the catalog that finds datasets by name."""
