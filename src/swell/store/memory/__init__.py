"""The memory store: what is recorded, for as long as the process lives."""
