"""The JSON of stream tickets."""

from typing import Annotated

from msgspec import Meta, Struct

from services.polls.payloads import examples


class StreamTicket(Struct, frozen=True, rename="camel"):
    """A ticket for the events of one poll. It is shown once."""

    ticket: Annotated[
        str,
        Meta(description="sent as `?ticket=…` to `GET /v1/polls/{id}/events`, once", examples=[examples.TICKET]),
    ]
    expires_in: Annotated[int, Meta(description="seconds within which the stream has to be opened", examples=[30])]
