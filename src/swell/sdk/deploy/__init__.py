"""Sends an App to a server: its specs, its source files, and runs and deployments."""
