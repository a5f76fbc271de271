"""Takes what is recorded elsewhere: into tables, arrays, and event files, and from event files into a recording."""
