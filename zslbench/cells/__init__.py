"""The cell: the unit that is run, stored and resumed; its source digest, its store and its rows."""
