"""Feature sets: stored, derived, simulated and imported ones."""
