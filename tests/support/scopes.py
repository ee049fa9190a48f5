"""The overlap of two scopes, computed from their paths: the reference for searches by scope."""

from shared.contract.scope import Scope


def overlap(one: Scope, other: Scope) -> bool:
    """Return whether both scopes cover some action at some place."""
    shorter, longer = sorted((one.path, other.path), key=len)
    return bool(one.actions & other.actions) and longer[: len(shorter)] == shorter
