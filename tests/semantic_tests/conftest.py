"""The tests of WordNet share its data."""

from wordnet_here import wordnet, wordnet_path

__all__ = ["wordnet", "wordnet_path"]
