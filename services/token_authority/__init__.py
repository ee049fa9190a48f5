"""The token authority: issues, changes and explains access tokens, and is the source of truth about them."""
