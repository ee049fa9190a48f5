"""HTTP to one service: JSON in and out, time limits, and an exception of this library for every failure."""

from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar
from urllib.parse import unquote

import aiohttp
import msgspec
from yarl import URL

from pollgate.client.arguments import require_aware_times, require_credential
from pollgate.client.encoding import Query
from pollgate.client.errors import ClientError, ConnectionFailed, InvalidArgument, OutcomeUnknown, UnexpectedResponse
from pollgate.client.network_errors import explain
from pollgate.client.problems import problem_error
from shared.contract.token import SECRET_PATTERN

CALL_LIMIT_S: Final = 10.0
OK: Final = 200
NO_CONTENT: Final = 204
STREAM_PAUSE_LIMIT_S: Final = 60.0
"""How long a stream may be silent."""

_NOT_A_URL: Final = "this is not the http or https URL of a service, such as {example}"

T = TypeVar("T")


class Service(NamedTuple):
    """The service of a client: its name in errors, the client's class, its second argument, and an example of a URL."""

    name: str
    client: str
    credential: str
    example_url: str


class Response(NamedTuple):
    """A response to a request that succeeded."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Arguments(NamedTuple):
    """How errors name what was passed to a method.

    `paths` are as in `argument_path`; `words` maps names of the API in an error's detail to the caller's.
    """

    paths: Mapping[str, tuple[str, Any]] = {}
    words: Mapping[str, str] = {}


AS_IN_THE_API: Final = Arguments()


class _ResponseLost(aiohttp.ClientError):
    """The response to a change was lost; the cause says how."""


class Transport:
    """Use as `async with Transport(service, url, secret) as transport`. Raise `ClientError` where a request fails."""

    def __init__(self, service: Service, url: str, secret: str) -> None:
        _require_url(url, service.example_url)
        require_credential(service.credential, secret)
        self._service = service
        self._url = url.rstrip("/")
        self._secret = secret
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._opened = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._secret}"}, middlewares=(_send_changes_once,)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()
        self._opened = None

    async def call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float = CALL_LIMIT_S,
        arguments: Arguments = AS_IN_THE_API,
    ) -> T:
        """Send a request and return its response's body as `kind`; `path` is sent unchanged."""
        response = await self.send(
            method, path, query=query, body=body, headers=headers, limit_s=limit_s, arguments=arguments
        )
        return self.decode(response, kind)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float = CALL_LIMIT_S,
        arguments: Arguments = AS_IN_THE_API,
        has_content: bool = False,
    ) -> Response:
        """Send a request and return its response; `path` is sent unchanged.

        The response to a DELETE is 204, unless it `has_content`.
        """
        encoded = None if body is None else _encode(body, arguments)
        response, failure = None, None
        try:
            async with self._session.request(
                method,
                URL(self._url + path, encoded=True),
                params=query,
                data=encoded,
                headers={**({"Content-Type": "application/json"} if encoded else {}), **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=limit_s),
                allow_redirects=False,
            ) as received:
                response = Response(received.status, received.headers, await received.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure = self._no_response(error)
        if response is None:
            raise failure or AssertionError  # outside of `except`, for aiohttp's error contains the secret
        self._require_success(response, path, arguments)
        if method == "DELETE" and response.status != (OK if has_content else NO_CONTENT):
            raise self._unexpected("this is not a response of this release's service", response.status)
        return response

    def decode(self, response: Response, kind: type[T]) -> T:
        """Return the response's body as `kind`. Raise `UnexpectedResponse`."""
        try:
            return msgspec.json.decode(response.content or b"null", type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise self._unexpected("this is not a response of this release's service", response.status) from None

    async def lines(
        self, path: str, query: Query, headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a response as they arrive.

        Raise `OutcomeUnknown` if it ends before it is complete, `UnexpectedResponse` if it is not of the media type in
        the header `Accept`.
        """
        timeout = aiohttp.ClientTimeout(sock_connect=CALL_LIMIT_S, sock_read=STREAM_PAUSE_LIMIT_S)
        rest, failure = b"", None
        try:
            async with self._session.get(
                URL(self._url + path, encoded=True),
                params=query,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as received:
                await self._require_stream(received, path, (headers or {}).get("Accept"))
                async for piece in received.content.iter_any():
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure = self._no_response(error)
        if failure is not None:
            raise failure
        if rest:
            yield rest

    async def _require_stream(self, received: aiohttp.ClientResponse, path: str, media_type: str | None) -> None:
        if received.status != OK:
            response = Response(received.status, received.headers, await received.read())
            self._require_success(response, path, AS_IN_THE_API)
        if received.status != OK or (media_type and received.content_type != media_type):
            raise self._unexpected("this is not a response of this release's service", received.status)

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            name = self._service.client
            raise RuntimeError(f"use the client inside its block: `async with {name}(…) as client:`")
        return self._opened

    def _no_response(self, error: Exception) -> ClientError:
        if isinstance(error, ValueError):  # such as a host that is too long; other arguments were checked before
            return InvalidArgument("url", _NOT_A_URL.format(example=self._service.example_url))
        if isinstance(error, aiohttp.ClientPayloadError):
            return self._failure(OutcomeUnknown, "the response ended before it was complete", error)
        if isinstance(error, aiohttp.ClientConnectorError):
            return self._failure(ConnectionFailed, "no connection", error)
        cause = error.__cause__ if isinstance(error, _ResponseLost) else error
        return self._failure(OutcomeUnknown, "no response", cause or error)

    def _failure(
        self, kind: type[ConnectionFailed | OutcomeUnknown], what: str, cause: BaseException
    ) -> ConnectionFailed | OutcomeUnknown:
        name = type(cause).__name__
        message = f"the {self._service.name} at {self._url}: {what} ({name})"
        failure = kind(message, detail=what, service=self._service.name, url=self._url)
        failure.reason, failure.explanation = name, explain(cause, self._url)
        return failure

    def _unexpected(self, detail: str, status: int) -> UnexpectedResponse:
        message = f"the {self._service.name} at {self._url} answered {status}: {detail}"
        return UnexpectedResponse(message, status=status, detail=detail, service=self._service.name, url=self._url)

    def _require_success(self, response: Response, path: str, arguments: Arguments) -> None:
        if response.status < 300:
            return
        if response.status < 400:
            # The target may be another host, which would receive the secret.
            raise self._unexpected("this is a redirect, which is not followed", response.status)
        raise self.error_of(response, path, arguments)

    def error_of(self, response: Response, path: str, arguments: Arguments) -> ClientError:
        """Return the exception for a response with a status of 400 or more."""
        return problem_error(
            response.status,
            response.headers,
            response.content.replace(self._secret.encode(), b"[redacted]"),
            arguments=arguments.paths,
            words=arguments.words,
            service=self._service.name,
            url=self._url,
            path=path,
        )


def _require_url(url: str, example: str) -> None:
    try:
        parsed = URL(url)
        has_more = parsed.query_string or parsed.fragment or parsed.user or parsed.password
        has_secret = SECRET_PATTERN.search(unquote(url)) is not None
        is_root = parsed.scheme in ("http", "https") and bool(parsed.host) and not has_more and not has_secret
    except ValueError:
        is_root = False
    if not is_root:
        raise InvalidArgument("url", _NOT_A_URL.format(example=example))


def _encode(body: Any, arguments: Arguments) -> bytes:
    if isinstance(body, Mapping):
        require_aware_times(body)
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, OverflowError):
        name = arguments.paths[""][0] if "" in arguments.paths else "arguments"
        reason = "a value cannot be sent: text that UTF-8 cannot encode, or a number of more than 64 bits"
        raise InvalidArgument(name, reason) from None


async def _send_changes_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or DELETE whose response is lost: the second response would look like the
    first.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _ResponseLost from error


class HttpClient:
    """A client that is open during an `async with` block."""

    _transport: Transport

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)
