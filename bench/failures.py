"""Why a row has no figure."""


class Unavailable(Exception):
    """A program that a row needs is not there, does not start, or does not do its work."""


class Invalid(Exception):
    """The row was measured, and the figures are not to be trusted."""
