"""The agent of a node: a process that starts the node's containers and connects them with a server elsewhere."""
