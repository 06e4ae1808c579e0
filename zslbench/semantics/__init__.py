"""Class semantics: class vectors, word vectors, class texts and attributes."""
