"""Keeps the pages, translations, and pictures of the project."""

import argparse


def takes_no_options(description: str | None) -> None:
    """Print a tool's description for ``--help``, and refuse every other argument."""
    shown = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=description, formatter_class=shown).parse_args()
