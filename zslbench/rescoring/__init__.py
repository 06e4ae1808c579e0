"""Stored scores read again: other classes on offer, other lists of test videos."""
