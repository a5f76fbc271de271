"""Defines, loads, validates, and lists scenario files."""
