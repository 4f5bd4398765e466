"""Calls: inputs on their way to a server, and results on their way back. Nothing here declares anything."""
