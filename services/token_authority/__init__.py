"""The token authority: issues, changes, introspects and revokes access tokens."""
