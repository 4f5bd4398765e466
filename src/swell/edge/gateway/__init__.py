"""The public gateway: HTTP from the world to containers. This package must not know the engine, or what an app does."""
