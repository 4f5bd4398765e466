"""How a server is reached: links, the client that owns them, retrying, and a blocking form of everything async."""
