"""Published figures and measured leaderboards."""
