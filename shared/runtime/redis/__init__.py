"""Redis: the client, channel subscriptions, and rate limits."""
