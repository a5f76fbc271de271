"""What to run: schema, loading and gallery of scenario files."""
