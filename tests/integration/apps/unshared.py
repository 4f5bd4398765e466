"""A module that exists in containers only: what comes from it means nothing to a caller."""


class OnlyThere:
    """A value whose class the caller has not."""


class OnlyThereError(Exception):
    """An exception whose class the caller has not."""
