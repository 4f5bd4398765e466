"""The deterministic core: what happened goes in, what to do comes out. No clock, I/O, randomness, asyncio or logging."""
