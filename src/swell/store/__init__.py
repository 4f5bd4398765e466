"""Stores: records of durable apps and spawned calls, behind the port `swell.ports.Store`."""
