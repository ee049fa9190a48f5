"""The limits of an admin key, so that an empty list is not read as if there were no tokens."""

from pollgate.client import AdminKey


def describe_limits(key: AdminKey) -> str:
    """Return a sentence about what the key sees, and a blank; an empty text for a key that sees every token."""
    all_limits = {"sites": key.sites, "scopes": key.scopes}
    limits = [f"the {name} {', '.join(each)}" for name, each in all_limits.items() if each is not None]
    return f"This admin key sees only tokens within {' and '.join(limits)}. " if limits else ""
