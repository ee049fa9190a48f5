"""What any small HTTP service needs, sheep-counting ones included; nothing in here knows of tokens or polls."""
