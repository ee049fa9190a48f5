"""What the replicas of polls tell each other over Redis: that something of a poll has changed, and not what."""

from typing import Final

POLLS_CHANNEL: Final = "pollgate:polls"
"""The Redis channel, each message one poll's id: a UUID as RFC 9562 §4 writes it, in lower case."""
