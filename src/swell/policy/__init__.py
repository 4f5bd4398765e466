"""Decisions as pure functions: values in, values out, time as a parameter. No state, no clock, no I/O."""
