"""How peers talk: messages, frames and the encoding of user values. No sockets here."""
