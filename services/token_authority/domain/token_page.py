"""A page of tokens in an order, and where the next page begins."""

from typing import Final, Literal, NamedTuple

from services.token_authority.domain.token import Token
from services.token_authority.domain.usage import Use

SortKey = Literal["name", "owner", "site", "created_at", "expires_at", "last_used_at"]
TIME_KEYS: Final[frozenset[SortKey]] = frozenset({"created_at", "expires_at", "last_used_at"})


class Order(NamedTuple):
    """A sort order by one column, then by id."""

    key: SortKey = "name"
    descending: bool = False

    @property
    def is_by_time(self) -> bool:
        """Whether the sorted values are times."""
        return self.key in TIME_KEYS


class FoundToken(NamedTuple):
    """A token with its use. `place` is its value of the sort column as text; with its id it begins the next page."""

    token: Token
    use: Use
    place: str


class Page(NamedTuple):
    """Up to `limit` tokens in order, after the place and id given."""

    order: Order
    after: tuple[str, str] | None
    limit: int
