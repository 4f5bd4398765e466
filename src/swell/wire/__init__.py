"""The protocol between peers: messages, frames and the encoding of user values. No sockets here."""
