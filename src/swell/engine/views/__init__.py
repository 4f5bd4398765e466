"""What is told: the state put into rows, numbers and words for people. Reads the state, and never changes it."""
