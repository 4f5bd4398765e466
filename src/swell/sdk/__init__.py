"""What users write against: apps, functions, classes, and the client that reaches a server for them."""
