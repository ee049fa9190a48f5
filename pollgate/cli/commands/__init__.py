"""One module per command or small group of commands, named after it: `pollgate token revoke` is `token_revoke`."""
