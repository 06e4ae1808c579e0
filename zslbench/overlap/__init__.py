"""Overlap: near classes of two class lists, and the filters that remove them."""
