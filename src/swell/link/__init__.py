"""A link: one connection between a server and a node's agent, with many channels in it."""
