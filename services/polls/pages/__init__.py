"""The pages of polls: where people vote, and where the holder of a token manages polls."""
