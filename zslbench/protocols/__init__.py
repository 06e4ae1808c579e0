"""Protocols: what is trained on and tested, and the settings in which papers report figures."""
