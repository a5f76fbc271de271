"""Trains many runs at once, over seeds, in worker processes and without recordings."""
