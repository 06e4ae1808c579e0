"""Embeddings: classes and videos placed by a method, exported and queried."""
