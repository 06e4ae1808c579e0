"""The run: from an experiment to stored cells."""
