"""Results, as `/v1` and `/x1` return them."""

from typing import Annotated

from msgspec import Meta, Struct

from services.polls.domain.poll import Status
from services.polls.domain.results import OptionResult, Results, WithheldReason
from services.polls.payloads.fields import OptionId, OptionTitle, Order, Time

Share = Annotated[float, Meta(ge=0, le=100, examples=[26.8])]


class OptionResultPayload(Struct, frozen=True, rename="camel"):
    """The result of one option; null is withheld. Options with equally many votes share a `rank`: 1, 2, 2, 4."""

    id: OptionId
    title: OptionTitle
    order: Order
    votes: Annotated[int | None, Meta(examples=[15])]
    percentage: Annotated[
        Share | None,
        Meta(description="of all votes, rounded half up: equal votes have equal ones, and the sum may not be 100.0"),
    ]
    participant_percentage: Annotated[Share | None, Meta(description="of the participants")]
    rank: Annotated[int | None, Meta(examples=[1])]

    @classmethod
    def of(cls, result: OptionResult) -> "OptionResultPayload":
        """Return the payload of a result."""
        figures = (result.votes, result.percentage, result.participant_percentage, result.rank)
        return cls(result.id, result.title, result.order, *figures)


class ResultsPayload(Struct, frozen=True, rename="camel"):
    """Results at one moment. Null is withheld by the poll's `resultsVisibility`, or by `hideAbsoluteNumbers`.

    `average` is also null before the first vote, and if the options are not scored.
    """

    calculated_at: Time
    status: Status
    final: Annotated[bool, Meta(description="whether the poll is closed, so that the results will not change")]
    visible: bool
    withheld_reason: WithheldReason | None
    participants: Annotated[int | None, Meta(examples=[56])]
    votes: Annotated[int | None, Meta(examples=[56])]
    average: Annotated[float | None, Meta(examples=[3.1])]
    options: list[OptionResultPayload]

    @classmethod
    def of(cls, results: Results) -> "ResultsPayload":
        """Return the payload of the results."""
        return cls(
            calculated_at=results.calculated_at,
            status=results.status,
            final=results.is_final,
            visible=results.is_visible,
            withheld_reason=results.withheld_reason,
            participants=results.participants,
            votes=results.votes,
            average=results.average,
            options=[OptionResultPayload.of(option) for option in results.options],
        )
