"""The one error of the command line that people read."""


class Sentence(Exception):
    """What is wrong and what to do about it, in a sentence; ends the command with status 1."""
