"""Fuzzes the program's four boundaries: recordings, scenario files, data files, and the trainer's socket.

    python -m tests.fuzz recording --count 100000 [--seed 0]

Each fuzzer is a module here with ``run(count, seed)``.  Case number ``n`` of a seed is always the same bytes, so a
crash is reproduced by its number.  ``tests/test_fuzz.py`` runs a short part of each; every crash that was ever found
is kept under ``tests/data/fuzz``.
"""
