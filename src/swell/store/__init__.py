"""Where results of spawned calls are kept, behind the port `swell.ports.Store`."""
