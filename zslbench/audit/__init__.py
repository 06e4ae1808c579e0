"""The leak audit: possible leaks behind the figures, and how to fix them."""
