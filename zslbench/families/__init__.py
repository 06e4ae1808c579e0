"""Split families by name: those of a dataset, of its lists of videos, and across datasets."""
