"""The admin surface of the edge: dashboard, JSON API and metrics, on a port of their own."""
