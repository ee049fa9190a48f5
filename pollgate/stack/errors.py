"""The error of the stack."""


class StackError(Exception):
    """Why the stack, or a part of it, cannot run, in one sentence for the terminal."""
