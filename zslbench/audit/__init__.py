"""The leak audit: what the figures may owe to leaks, and the remedy."""
