"""The leaderboard: ranked rows, tables, comparisons."""
