"""What a program declares: options and marks, and the specs that they make. Nothing here talks to a server."""
