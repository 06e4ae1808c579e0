"""Tests of what class embeddings mean: WordNet matrices and vector arithmetic."""
