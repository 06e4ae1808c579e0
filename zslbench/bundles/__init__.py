"""Bundles: cells in one zip file, with what others need to verify and cite them."""
