"""How a container answers HTTP: what it serves, on which socket, and how a server of the user's keeps its port."""
