"""The SQLite store: a port's methods, the thread that writes, and SQL in files of its own."""
