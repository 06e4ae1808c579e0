"""A method's parameters searched on held-out seen classes."""
