"""Draw results as a table, bars or a pie. Where numbers of votes are hidden, so are they in the shapes."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from services.polls.domain.results import OptionResult, Results
from shared.runtime.pages.charts import Slice, draw_pie

View = Literal["table", "bar", "pie"]
Sort = Literal["order", "votes"]

VIEWS: Final[Sequence[View]] = get_args(View)
COLOURS: Final = 10
"""The number of colours, which repeat. Numbers tell slices of one colour apart."""
_LEAST_LABELLED: Final = 0.04
"""The part of a pie from which on a slice has room for its number."""


class ResultsView(Struct, frozen=True):
    """How results are shown."""

    view: View = "table"
    sort: Sort = "order"

    @property
    def query(self) -> str:
        """The query of a page that shows results like this."""
        return f"results={self.view}" + ("&sort=votes" if self.sort == "votes" else "")


def read_view(view: str, sort: str = "") -> ResultsView | None:
    """Return the view that a query asks for, a table for one that does not exist; `None` if it asks for none."""
    if not view:
        return None
    return ResultsView(next((each for each in VIEWS if each == view), "table"), "votes" if sort == "votes" else "order")


class ShownOption(Struct, frozen=True):
    """An option with its number, by which a legend refers to it, and its result."""

    number: int
    result: OptionResult

    @property
    def colour(self) -> int:
        """The index of its colour."""
        return colour_of(self.number - 1)


def colour_of(position: int) -> int:
    """Return the index of the colour of the option at this position."""
    return position % COLOURS


def shown_options(results: Results, sort: Sort = "order") -> list[ShownOption]:
    """Return the options in the order of the poll, or those with the most votes first."""
    shown = [ShownOption(index, result) for index, result in enumerate(results.options, start=1)]
    if sort == "votes":
        shown.sort(key=lambda option: -(option.result.percentage or 0))
    return shown


def pie_slices(results: Results) -> Sequence[Slice]:
    """Return the slices of the options with votes, by the percentages that the reader may see."""
    return draw_pie([option.percentage or 0.0 for option in results.options])


def has_label(piece: Slice) -> bool:
    """Return whether a slice has room for its number."""
    return piece.share >= _LEAST_LABELLED


def percent(value: float | None) -> str:
    """Return a percentage with one decimal."""
    return f"{value or 0.0:.1f}%"
