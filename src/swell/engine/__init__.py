"""The deterministic core: events in, effects out. No clock, I/O, randomness, asyncio or logging."""
