"""Describe the limits of a voting link."""

from pollgate.client import Link


def describe_limits(link: Link) -> str:
    """Return how many participants have voted by a shared link, and how many can; empty for a personal link."""
    if link.kind != "shared":
        return ""
    voted = "withheld" if link.participants is None else f"{link.participants:,}"
    total = voted + (f" of {link.max_participants:,}" if link.max_participants else "")
    return total + (f", up to {link.max_per_address:,} per address" if link.max_per_address else "")
