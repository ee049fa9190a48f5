"""The errors of the command line."""


class CliError(Exception):
    """What is wrong and how to correct it, in one sentence for the terminal; ends the command with exit status 1."""


class UsageError(CliError):
    """Wrong usage that a command itself detects, before it sends anything; ends the command with exit status 2."""
