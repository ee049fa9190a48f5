"""What can be wrong with a request to the authority, in its own words."""


class InvalidValue(ValueError):
    """A value breaks a rule. `path` leads to it from the outermost field."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


class UnknownToken(LookupError):
    """No token has this id."""


class Unauthenticated(Exception):
    """The caller has not shown a credential that is good for this route."""
