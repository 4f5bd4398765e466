"""Nodes that a Ray cluster gives: an agent for each slice of a machine that an actor holds. Nothing here runs in it."""
