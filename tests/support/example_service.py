"""An example service that uses only the runtime: it manages flocks of sheep."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from shared.runtime.docs import Documentation, Variable, add_docs
from shared.runtime.docs.openapi import openapi_document
from shared.runtime.http.accept import prefers
from shared.runtime.http.application import create_application
from shared.runtime.http.body import FORM, JSON, read_form, read_json, require_media_type
from shared.runtime.http.endpoint import Endpoint, Operation, Response
from shared.runtime.http.json_response import json_response
from shared.runtime.http.problem import Problem
from shared.runtime.http.problem_types import RUNTIME_PROBLEM_TYPES, ProblemType
from shared.runtime.http.query import read_query
from shared.runtime.http.routes import PUBLIC, Access, Route, add_routes

SHEPHERD: Final = "Bearer of-the-shepherd"
Colour = Literal["black", "white"]


class NoShepherd(Exception):
    """The request has no credential of the shepherd."""


class UnknownFlock(LookupError):
    """No flock has this name."""


class Dog(Struct, frozen=True):
    """A dog of a flock."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    age: Annotated[int, Meta(ge=0, le=30)]


class Flock(Struct, frozen=True, forbid_unknown_fields=True):
    """A flock of sheep."""

    name: Annotated[str, Meta(pattern="^[a-z]{1,20}$", description="unique", examples=["dolly"])]
    sheep: Annotated[int, Meta(ge=1, le=1000)]
    colour: Colour = "white"
    shorn_at: Annotated[datetime, Meta(tz=True)] | None = None
    dogs: Annotated[list[Dog], Meta(max_length=3)] = []
    ages: dict[str, int] = {}


class ChangeFlock(Struct, frozen=True, forbid_unknown_fields=True):
    """A change of a flock."""

    sheep: Annotated[int, Meta(ge=1, le=1000)]


class Flocks(Struct, frozen=True):
    """A list of flocks."""

    items: list[Flock]


class FlocksQuery(Struct, frozen=True):
    """The conditions of a list of flocks."""

    limit: Annotated[int, Meta(ge=1, le=100, description="maximum number of flocks")] = 10
    lambs: bool = True
    shorn_before: Annotated[datetime, Meta(tz=True, description="shorn earlier than this")] | None = None
    colour: Annotated[list[Colour], Meta(max_length=2)] = []
    near: str = ""


class FlockPath(Struct, frozen=True):
    """The path of one flock."""

    name: Annotated[str, Meta(description="the flock's name", examples=["dolly"])]


class Whistle(Struct, frozen=True):
    """A signal of the shepherd."""

    tune: Literal["home", "away"]
    times: Annotated[int, Meta(ge=1, le=5)] = 1


class CountHeaders(Struct, frozen=True):
    """Optional headers of a new flock."""

    flock_key: Annotated[str, Meta(description="makes a retry safe")] | None = msgspec.field(
        name="Flock-Key", default=None
    )


NO_SHEPHERD: Final = ProblemType(
    slug="no-shepherd",
    status=401,
    title="No shepherd",
    meaning="The flock obeys another shepherd.",
    remedy="Send the shepherd's credential.",
)
UNKNOWN_FLOCK: Final = ProblemType(
    slug="unknown-flock", status=404, title="Unknown flock", meaning="No flock has this name.", remedy="Count again."
)
PROBLEM_TYPES: Final = (*RUNTIME_PROBLEM_TYPES, NO_SHEPHERD, UNKNOWN_FLOCK)
CSV: Final = "text/csv"
MERGE_PATCH: Final = "application/merge-patch+json"
NO_FLOCK: Final = {404: "No flock has this name."}

LIST_FLOCKS: Final = Operation(
    summary="List flocks",
    tags=("flocks",),
    query=FlocksQuery,
    responses={
        200: Response(
            description="The flocks.",
            body=Flocks,
            example={"items": [{"name": "dolly", "sheep": 3}]},
            alternatives={CSV: "name,sheep\r\ndolly,3\r\n"},
        )
    },
)
CREATE_FLOCK: Final = Operation(
    summary="Form a flock",
    body=Flock,
    headers=CountHeaders,
    responses={201: Response(description="The flock.", body=Flock, headers={"Location": "the path of the flock"})},
    body_example={"name": "dolly", "sheep": 3},
)
SHOW_FLOCK: Final = Operation(
    summary="Show a flock",
    path=FlockPath,
    responses={200: Response(description="The flock.", body=Flock)},
    problems=NO_FLOCK,
)
CHANGE_FLOCK: Final = Operation(
    summary="Change how many sheep a flock has",
    path=FlockPath,
    body=ChangeFlock,
    media_type=(MERGE_PATCH, JSON),
    responses={200: Response(description="The flock.", body=Flock)},
    body_example={"sheep": 4},
    problems=NO_FLOCK,
)
DISSOLVE_FLOCK: Final = Operation(
    summary="Dissolve a flock",
    path=FlockPath,
    responses={204: Response(description="The flock is dissolved.")},
    problems=NO_FLOCK,
)
WHISTLE: Final = Operation(
    summary="Whistle",
    body=Whistle,
    media_type=FORM,
    responses={200: Response(description="The signal.", body=Whistle)},
)

FLOCKS: Final = web.AppKey("flocks", dict[str, Flock])


def create_example_app() -> web.Application:
    """Return the service. The shepherd sends `SHEPHERD` as its Authorization header."""
    problems = {
        NoShepherd: lambda _: Problem(NO_SHEPHERD, "Send the shepherd's credential."),
        UnknownFlock: lambda _: Problem(UNKNOWN_FLOCK, "No flock has this name."),
    }
    app = create_application(problems, redact=lambda text: text)
    app[FLOCKS] = {"dolly": Flock(name="dolly", sheep=3)}
    add_routes(app, SHEEP_ROUTES)
    add_docs(app, Documentation(INFO, SHEEP_ROUTES, SECURITY_SCHEMES, PROBLEM_TYPES, VARIABLES), URL)
    return app


def build_example_document() -> dict[str, Any]:
    """Return the OpenAPI document of the service."""
    return openapi_document(INFO, SHEEP_ROUTES, SECURITY_SCHEMES)


async def list_flocks(request: web.Request) -> web.Response:
    query = read_query(request, FlocksQuery)
    found = [flock for flock in request.app[FLOCKS].values() if not query.colour or flock.colour in query.colour]
    if prefers(request, CSV, JSON):
        lines = [f"{flock.name},{flock.sheep}" for flock in found[: query.limit]]
        return web.Response(text="\r\n".join(["name,sheep", *lines, ""]), content_type=CSV)
    return json_response(Flocks(found[: query.limit]))


async def create_flock(request: web.Request) -> web.Response:
    _require_shepherd(request)
    require_media_type(request, JSON)
    flock = read_json(await request.read(), Flock)
    request.app[FLOCKS][flock.name] = flock
    return json_response(flock, status=201, headers={"Location": f"/flocks/{flock.name}"})


async def show_flock(request: web.Request) -> web.Response:
    return json_response(_flock(request))


async def change_flock(request: web.Request) -> web.Response:
    _require_shepherd(request)
    require_media_type(request, MERGE_PATCH, JSON)
    flock, change = _flock(request), read_json(await request.read(), ChangeFlock)
    changed = request.app[FLOCKS][flock.name] = msgspec.structs.replace(flock, sheep=change.sheep)
    return json_response(changed)


async def dissolve_flock(request: web.Request) -> web.Response:
    _require_shepherd(request)
    del request.app[FLOCKS][_flock(request).name]
    return web.Response(status=204)


async def whistle(request: web.Request) -> web.Response:
    require_media_type(request, FORM)
    return json_response(read_form(await request.read(), Whistle))


def _flock(request: web.Request) -> Flock:
    flock = request.app[FLOCKS].get(request.match_info["name"])
    if flock is None:
        raise UnknownFlock
    return flock


def _require_shepherd(request: web.Request) -> None:
    if request.headers.get("Authorization") != SHEPHERD:
        raise NoShepherd


INFO: Final = {"title": "Sheep", "version": "1", "description": "Counts sheep in flocks."}
URL: Final = "https://sheep.example"
VARIABLES: Final = (
    Variable(name="CROOK", meaning="the credential of the shepherd", schemes=("shepherd",)),
    Variable(name="TUNE", meaning="`home` or `away`", value="away"),
)
SECURITY_SCHEMES: Final = {"shepherd": {"type": "http", "scheme": "bearer"}}
_SHEPHERD: Final = Access(lambda handler: handler, ("shepherd",))
SHEEP_ROUTES: Final = (
    Route("GET", "/flocks", Endpoint(list_flocks, LIST_FLOCKS), PUBLIC),
    Route("POST", "/flocks", Endpoint(create_flock, CREATE_FLOCK), _SHEPHERD),
    Route("GET", "/flocks/{name}", Endpoint(show_flock, SHOW_FLOCK), PUBLIC),
    Route("PATCH", "/flocks/{name}", Endpoint(change_flock, CHANGE_FLOCK), _SHEPHERD),
    Route("DELETE", "/flocks/{name}", Endpoint(dissolve_flock, DISSOLVE_FLOCK), _SHEPHERD),
    Route("POST", "/whistle", Endpoint(whistle, WHISTLE), PUBLIC),
)
