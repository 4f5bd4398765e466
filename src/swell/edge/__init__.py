"""The process that speaks HTTP: the public gateway to web functions, and the admin surface."""
