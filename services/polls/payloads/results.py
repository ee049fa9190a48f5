"""Results as both faces answer them."""

from typing import Annotated

from msgspec import Meta, Struct

from services.polls.domain.results import OptionResult, Results, Status, WithheldReason
from services.polls.payloads.texts import OptionId, OptionTitle, Order, Time

Share = Annotated[float, Meta(ge=0, le=100, examples=[26.8])]


class OptionResultPayload(Struct, frozen=True, rename="camel"):
    """What one option has got; null is withheld. Options with as many votes share a `rank`: 1, 2, 2, 4."""

    id: OptionId
    title: OptionTitle
    order: Order
    votes: Annotated[int | None, Meta(examples=[15])]
    percentage: Annotated[Share | None, Meta(description="of all votes; these sum to 100.0")]
    participant_percentage: Annotated[Share | None, Meta(description="of the participants")]
    rank: Annotated[int | None, Meta(examples=[1])]

    @classmethod
    def of(cls, result: OptionResult) -> "OptionResultPayload":
        """How the result is shown."""
        figures = (result.votes, result.percentage, result.participant_percentage, result.rank)
        return cls(result.id, result.title, result.order, *figures)


class ResultsPayload(Struct, frozen=True, rename="camel"):
    """Results at one moment; null is withheld, by the poll's `resultsVisibility` or, of numbers, `hideAbsoluteNumbers`.

    `average` is also null before the first vote, and where options are not scored.
    """

    status: Status
    final: Annotated[bool, Meta(description="whether nobody can vote any more")]
    calculated_at: Time
    visible: bool
    withheld_reason: WithheldReason | None
    participants: Annotated[int | None, Meta(examples=[56])]
    votes: Annotated[int | None, Meta(examples=[56])]
    average: Annotated[float | None, Meta(examples=[3.1])]
    options: list[OptionResultPayload]

    @classmethod
    def of(cls, results: Results) -> "ResultsPayload":
        """How the results are shown."""
        return cls(
            status=results.status,
            final=results.final,
            calculated_at=results.calculated_at,
            visible=results.visible,
            withheld_reason=results.withheld_reason,
            participants=results.participants,
            votes=results.votes,
            average=results.average,
            options=[OptionResultPayload.of(option) for option in results.options],
        )
