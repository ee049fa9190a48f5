"""The error of a benchmark."""


class BenchError(Exception):
    """Why a benchmark has no result, in one sentence."""
