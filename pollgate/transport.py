"""HTTP to the token authority: JSON in and out, time-limited, and every failure as a sentence."""

from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import aiohttp
import msgspec
from yarl import URL

from pollgate.sentence import Sentence

CALL_LIMIT_S: Final = 10.0
STREAM_PAUSE_LIMIT_S: Final = 60.0
"""How long a stream may say nothing."""

T = TypeVar("T")


class NoAnswer(Sentence):
    """The request was sent, and it is not known what has become of it: its answer was lost, or is a failure."""


class _Fault(msgspec.Struct):
    detail: str
    pointer: str = ""
    parameter: str = ""


class _Problem(msgspec.Struct):
    detail: str
    errors: list[_Fault] = []


class Transport:
    """Use as `async with Transport(url, admin_key) as transport`. Everything raises `Sentence` where it fails."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._url = url.rstrip("/")
        self._admin_key = admin_key

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._admin_key}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

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
        encoded = None if body is None else msgspec.json.encode(body)
        try:
            async with self._session.request(
                *(method, URL(self._url + path, encoded=True)),
                params=query,
                data=encoded,
                headers={**(headers or {}), **({"Content-Type": "application/json"} if encoded else {})},
                timeout=aiohttp.ClientTimeout(total=limit_s),
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._no_answer(error) from None
        _require_success(answer.status, content)
        try:
            return msgspec.json.decode(content or b"null", type=kind)
        except msgspec.MsgspecError:
            raise self._stranger() from None

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The lines of an answer, as they come. Ends only where the answer is whole."""
        timeout = aiohttp.ClientTimeout(sock_connect=CALL_LIMIT_S, sock_read=STREAM_PAUSE_LIMIT_S)
        try:
            async with self._session.get(
                URL(self._url + path, encoded=True), params=query, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    _require_success(answer.status, await answer.read())
                    raise self._stranger()
                rest = b""
                async for piece in answer.content.iter_any():
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield line
        except aiohttp.ClientPayloadError:
            raise NoAnswer(f"the answer of the token authority at {self._url} broke off") from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise self._no_answer(error) from None
        if rest:
            yield rest

    def _no_answer(self, error: Exception) -> Sentence:
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return Sentence("TOKEN_AUTHORITY_URL is not a URL, such as http://127.0.0.1:8081")
        never_sent = isinstance(error, aiohttp.ClientConnectorError)
        return (Sentence if never_sent else NoAnswer)(
            f"the token authority at {self._url} does not answer ({type(error).__name__}); "
            "start it, or set TOKEN_AUTHORITY_URL"
        )

    def _stranger(self) -> Sentence:
        return Sentence(f"what answers at {self._url} is not this release's token authority; check TOKEN_AUTHORITY_URL")


def _require_success(status: int, content: bytes) -> None:
    if status < 400:
        return
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem("")
    faults = [": ".join(filter(None, (fault.pointer or fault.parameter, fault.detail))) for fault in problem.errors]
    repeated = problem.detail in (fault.detail for fault in problem.errors)
    told = "\n  ".join(faults if repeated else filter(None, (problem.detail, *faults)))
    sentence = f"the token authority answered {status}" + (f": {told}" if told else "")
    raise NoAnswer(sentence.rstrip(".")) if status >= 500 else Sentence(sentence)
