"""Trains the runs of a session in worker processes, as many as there are cores."""
