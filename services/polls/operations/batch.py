"""Several changes in one transaction, each undone by itself where it fails, or all of them together."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from shared.runtime.postgres.database import DatabaseUnavailable, Transaction

T = TypeVar("T")


class UndoneWithOthers(Exception):
    """It could be done, and was undone because another one failed."""


async def each_by_itself(transaction: Transaction, works: Sequence[Callable[[], Awaitable[T]]]) -> list[T | Exception]:
    """What each of the works gives in turn, or raises, in which case nothing of it is done.

    Raises `DatabaseUnavailable`, after which none can be done.
    """
    outcomes: list[T | Exception] = []
    for work in works:
        try:
            async with transaction.savepoint():
                outcomes.append(await work())
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked for it tells it
            outcomes.append(error)
    return outcomes
