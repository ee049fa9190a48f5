"""HTTP to one of our servers: JSON in and out, time-limited, and every failure as a sentence."""

from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from pollgate.client.errors import Sentence

CALL_LIMIT_S: Final = 10.0
STREAM_PAUSE_LIMIT_S: Final = 60.0
"""How long a stream may say nothing."""

T = TypeVar("T")


class Server(NamedTuple):
    """Whom a client speaks to: what it is called, the variable that says where it is, with an example, and what `async
    with` makes the client.

    `parts` is what a caller calls parts of a request, by their pointer into the body or their parameter, where that is
    not what the API calls them.
    """

    name: str
    variable: str
    example: str
    client: str
    parts: Mapping[str, str] = {}

    def part(self, pointer_or_parameter: str) -> str:
        """What a caller calls it: the part itself, or else the one around it that has a name."""
        outer = pointer_or_parameter
        while outer:
            if outer in self.parts:
                return self.parts[outer]
            outer = outer.rpartition("/")[0]
        return pointer_or_parameter


class Answer(NamedTuple):
    """What came back where the request was done."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Failure(Sentence):
    """The server answered with a failure, or not at all, where `status` is `None`.

    `kind` ends the problem's type, as `unknown-poll`; `retry_after_s` is how long the server asks to wait.
    """

    def __init__(
        self, sentence: str, status: int | None = None, kind: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.kind = kind
        self.retry_after_s = retry_after_s


class Refused(Failure):
    """The request was not done, and the sentence says why."""


class NoAnswer(Failure):
    """The request was sent, and it is not known what has become of it: its answer was lost, or is a failure."""


class Unreached(Failure):
    """The request was never sent."""


class _Lost(aiohttp.ClientError):
    """The answer to a change was lost; the cause says how."""


class _Fault(msgspec.Struct):
    detail: str
    pointer: str = ""
    parameter: str = ""


class _Problem(msgspec.Struct):
    detail: str
    type: str = ""
    errors: list[_Fault] = []


class Transport:
    """Use as `async with Transport(server, url, secret) as transport`. Everything raises `Sentence` where it fails:
    `Failure` where that is the server's answer, or the lack of one.
    """

    def __init__(self, server: Server, url: str, secret: str) -> None:
        self._server = server
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
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float = CALL_LIMIT_S,
    ) -> T:
        """The answer, as `kind`; `path` is sent as it is."""
        answer = await self.ask(method, path, query=query, body=body, headers=headers, limit_s=limit_s)
        return self.read(answer, kind)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        limit_s: float = CALL_LIMIT_S,
    ) -> Answer:
        """The answer as it came; `path` is sent as it is."""
        encoded = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                *(method, URL(self._url + path, encoded=True)),
                params=query,
                data=encoded,
                headers={**({"Content-Type": "application/json"} if encoded else {}), **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=limit_s),
                allow_redirects=False,
            ) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._no_answer(error) from None
        self._require_success(answer, path)
        return answer

    def read(self, answer: Answer, kind: type[T]) -> T:
        """What the answer says, as `kind`."""
        try:
            return msgspec.json.decode(answer.content or b"null", type=kind)
        except msgspec.MsgspecError:
            raise self._stranger() from None

    async def lines(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The lines of an answer, as they come. Ends only where the answer is whole."""
        timeout = aiohttp.ClientTimeout(sock_connect=CALL_LIMIT_S, sock_read=STREAM_PAUSE_LIMIT_S)
        try:
            async with self._session.get(
                URL(self._url + path, encoded=True),
                params=query,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                if response.status != 200:
                    self._require_success(Answer(response.status, response.headers, await response.read()), path)
                    raise self._stranger()
                rest = b""
                async for piece in response.content.iter_any():
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield line
        except aiohttp.ClientPayloadError:
            raise NoAnswer(f"the answer of the {self._server.name} at {self._url} broke off") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._no_answer(error) from None
        if rest:
            yield rest

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            raise RuntimeError(f"a client works within its block alone: `async with {self._server.client}:`")
        return self._opened

    def _no_answer(self, error: Exception) -> Sentence:
        name, variable, example = self._server[:3]
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return Sentence(f"{variable} is not a URL, such as {example}")
        never_sent = isinstance(error, aiohttp.ClientConnectorError)
        cause = error.__cause__ if isinstance(error, _Lost) else error
        return (Unreached if never_sent else NoAnswer)(
            f"the {name} at {self._url} does not answer ({type(cause).__name__}); start it, or set {variable}"
        )

    def _stranger(self) -> Sentence:
        name, variable = self._server[:2]
        return Sentence(f"what answers at {self._url} is not this release's {name}; check {variable}")

    def _elsewhere(self, status: int) -> Sentence:
        """No redirection is followed: it might lead to another host, which would be shown the secret."""
        told = f"{self._url} sends its callers elsewhere ({status}); nothing was done"
        return Sentence(f"{told}. Set {self._server.variable} to where the {self._server.name} is itself")

    def _require_success(self, answer: Answer, path: str) -> None:
        status = answer.status
        if status < 300:
            return
        if status < 400:
            raise self._elsewhere(status)
        try:
            problem = msgspec.json.decode(answer.content, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem("")
        kind = problem.type.rpartition("/")[2]
        told = self._told(problem) if status != 404 or kind not in ("", "not-found") else self._nothing_at(path)
        sentence = f"the {self._server.name} answered {status}" + (f": {told}" if told else "")
        known = (status, kind, _seconds(answer.headers.get("Retry-After", "")))
        raise NoAnswer(sentence.rstrip("."), *known) if status >= 500 else Refused(sentence, *known)

    def _told(self, problem: _Problem) -> str:
        faults = [
            ": ".join(filter(None, (self._server.part(fault.pointer or fault.parameter), fault.detail)))
            for fault in problem.errors
        ]
        is_repeated = bool(faults) and all(fault.detail in problem.detail for fault in problem.errors)
        return "\n  ".join(faults if is_repeated else filter(None, (problem.detail, *faults)))

    def _nothing_at(self, path: str) -> str:
        name, variable, example = self._server[:3]
        told = f"nothing is found at {self._url}{path}; check {variable}"
        if URL(self._url).path.strip("/"):
            told += f", which is the root of the {name}, without a path, such as {example}"
        return told


async def _send_changes_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a PUT or DELETE again whose answer is lost: to whoever asked, the second answer would
    seem to be the first.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        if request.method == "GET":
            raise
        raise _Lost from error


def _seconds(text: str) -> float | None:
    """What `Retry-After` says; as a date, which our servers never send, nothing."""
    return float(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
