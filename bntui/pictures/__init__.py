"""Writes pictures of styled text to files: SVG, PNG, PDF, HTML, and recordings of terminals."""
