"""The `Idempotency-Key` header in the OpenAPI document."""

from typing import Annotated

from msgspec import Meta, Struct

from shared.runtime.http.idempotency import IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_PATTERN


class IdempotencyHeaders(Struct, frozen=True, rename={"idempotency_key": IDEMPOTENCY_KEY}):
    """The header that makes a request for a new secret safe to repeat when its response was lost."""

    idempotency_key: (
        Annotated[
            str,
            Meta(
                pattern=IDEMPOTENCY_KEY_PATTERN,
                description="a random text of 1 to 255 printable characters; the same request with the same key "
                "replaces the secret whose response was lost, unless that secret was used. A key counts for its caller "
                "and route",
            ),
        ]
        | None
    ) = None
