"""What a handler declares about itself: its parameters, bodies, responses and errors, for the OpenAPI document."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypedDict, Unpack

from aiohttp.typedefs import Handler
from msgspec import Struct

from shared.runtime.http.body import JSON


class Response(Struct, frozen=True, kw_only=True):
    """A response with which an operation succeeds.

    `body` is the type of the body, or a tuple of types of which the body is one. `example` is an instance of one of
    them, or the same as JSON values. `alternatives` maps each further media type, sent on request, to an example.
    `headers` maps the name of each header to its description.
    """

    description: str
    body: Any = None
    media_type: str = JSON
    example: Any = None
    alternatives: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """The public description of a route, as OpenAPI's Operation Object has it.

    The parameters are the fields of the Structs `path`, `query` and `headers`. The body has one media type, or one of
    several that are read alike. `problems` maps a status to a sentence; it adds to the problems that every route with
    a body or with an access rule has. `without` lists the statuses of those that this route never sends.
    """

    summary: str
    responses: Mapping[int, Response]
    description: str = ""
    tags: tuple[str, ...] = ()
    path: type[Struct] | None = None
    query: type[Struct] | None = None
    headers: type[Struct] | None = None
    body: Any = None
    body_required: bool = True
    body_example: Any = None
    media_type: str | tuple[str, ...] = JSON
    problems: Mapping[int, str] = {}
    without: tuple[int, ...] = ()


class Endpoint(NamedTuple):
    """A handler with its description; without one, its route is left out of the OpenAPI document."""

    handler: Handler
    operation: Operation | None = None

    @property
    def name(self) -> str:
        """The operation's id: the name of the handler."""
        return self.handler.__name__


class _Fields(TypedDict, total=False):
    """The fields of `Operation` that have a default."""

    description: str
    tags: tuple[str, ...]
    path: type[Struct]
    query: type[Struct]
    headers: type[Struct]
    body: Any
    body_required: bool
    body_example: Any
    media_type: str | tuple[str, ...]
    problems: Mapping[int, str]
    without: tuple[int, ...]


def endpoint(
    summary: str, responses: Mapping[int, Response], **fields: Unpack[_Fields]
) -> Callable[[Handler], Endpoint]:
    """Return a decorator that adds an `Operation` with these fields to a handler."""

    def describe(handler: Handler) -> Endpoint:
        return Endpoint(handler, Operation(summary=summary, responses=responses, **fields))

    return describe
