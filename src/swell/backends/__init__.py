"""What starts and stops containers, behind the port `swell.ports.Backend`."""
