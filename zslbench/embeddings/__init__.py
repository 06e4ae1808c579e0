"""Embeddings: vectors of classes and videos by a method, their export and queries on them."""
