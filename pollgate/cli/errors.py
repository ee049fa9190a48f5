"""The error of the command line."""


class CliError(Exception):
    """What is wrong and how to correct it, in one sentence for the terminal; ends the command with exit status 1."""
