"""A whole swell in virtual time: the real engine among fake containers and clients, everything drawn from one seed."""
