"""Encryption at rest, and the keys that verify JWTs."""
