"""Examine the processes of a service over HTTP: whether they are ready, their clocks and what their metrics say."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import SplitResult

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from pollgate.client.problems import read_problem
from pollgate.doctor.certificates import examine_certificate
from pollgate.doctor.clocks import Stopwatch, examine_clock
from pollgate.doctor.finding import Examination, Finding
from shared.runtime.http.network_errors import explain
from shared.runtime.process.environment import split_url

LIMIT_S: Final = 5.0


class Service(NamedTuple):
    """A service as the doctor reaches it: its name, its URL, and the variable that the URL is from."""

    name: str
    url: str
    variable: str


class Metrics:
    """The samples of a scrape, each with its name, labels and value."""

    def __init__(self, text: str) -> None:
        """Read the Prometheus text format."""
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def values(self, name: str) -> list[float]:
        """Return the values of a metric, one for each combination of its labels."""
        return [sample.value for sample in self._samples if sample.name == name]

    def labels(self, name: str, label: str) -> set[str]:
        """Return the values of a label of a metric."""
        return {sample.labels.get(label, "") for sample in self._samples if sample.name == name}


async def examine_service(service: Service, examine_metrics: Callable[[Examination, Metrics], None]) -> list[Finding]:
    """Return findings for each address of the service's host, so for each replica if the name has several.

    Raise `SettingsError` if the URL is none.
    """
    parts = split_url(service.url, service.variable)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    examination = Examination(service.name)
    try:
        addresses = await _resolve(host, port)
    except OSError as error:
        examination.fail("name", f"{host} has no address: {error.strerror}", f"correct {service.variable}")
        return examination.findings
    if parts.scheme == "https":
        await examine_certificate(examination, host, port)
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=LIMIT_S), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        replicas = [_Replica(session, service, parts, address, port, len(addresses) > 1) for address in addresses]
        for findings in await asyncio.gather(*(replica.examine(examine_metrics) for replica in replicas)):
            examination.findings += findings
    return examination.findings


async def _resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host: only those of its first family, as both families usually lead to one process."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first_family = infos[0][0]
    return list(dict.fromkeys(str(info[4][0]) for info in infos if info[0] == first_family))


class _Replica:
    """One address of a service."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        service: Service,
        parts: SplitResult,
        address: str,
        port: int,
        is_one_of_many: bool,
    ) -> None:
        self._session = session
        self._service = service
        shown = f"[{address}]" if ":" in address else address
        self._base = f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}"
        self._host = parts.netloc.rpartition("@")[2]
        self._server_name = parts.hostname if parts.scheme == "https" else None
        self._part = f"{service.name} at {address}" if is_one_of_many else service.name
        self._start_it = f"start it, or correct {service.variable}"

    async def examine(self, examine_metrics: Callable[[Examination, Metrics], None]) -> list[Finding]:
        """Return the findings about this address."""
        examination = Examination(self._part)
        try:
            await self._examine_readiness(examination)
            await self._examine_metrics(examination, examine_metrics)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            examination.fail("answers", f"{self._base}: {explain(error)}", self._start_it)
        return examination.findings

    async def _examine_readiness(self, examination: Examination) -> None:
        stopwatch = Stopwatch()
        status, headers, body = await self._get("/readyz")
        try:
            document = msgspec.json.decode(body, type=_Readiness)
        except msgspec.MsgspecError:
            if detail := read_problem(body).detail:  # such as that of the stack's proxy if no process answers
                examination.fail("answers", f"{self._base}/readyz answered {status}: {detail}", self._start_it)
            else:
                examination.fail(
                    "answers",
                    f"{self._base}/readyz answered {status}, but not as {self._service.name} does",
                    f"correct {self._service.variable}, or look at the proxy at this address",
                )
            return
        examination.ok("answers", self._base)
        failing = [f"{name}: {reason}" for name, reason in document.checks.items() if reason != "ok"]
        examination.judge(
            "readiness",
            f"{document.status}; {'; '.join(failing)}" if failing else document.status,
            "start what it needs, or correct its settings; its log says what it has tried",
            warns=bool(failing),
            fails=status != 200,
        )
        if date := headers.get("Date"):
            examine_clock(examination, stopwatch.difference_s(parsedate_to_datetime(date).timestamp(), 1.0))

    async def _examine_metrics(
        self, examination: Examination, examine_metrics: Callable[[Examination, Metrics], None]
    ) -> None:
        status, _, body = await self._get("/metrics")
        if status != 200:
            examination.skip(
                "metrics",
                f"{self._base}/metrics answered {status}",
                f"run this where METRICS_NETWORKS allows it, with {self._service.variable} past any proxy",
            )
            return
        examine_metrics(examination, Metrics(body.decode()))

    async def _get(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.get(
            self._base + path,
            headers={"Host": self._host},
            server_hostname=self._server_name,
            allow_redirects=False,
        ) as answer:
            return answer.status, answer.headers, await answer.read()


class _Readiness(msgspec.Struct):
    status: str
    checks: dict[str, str]
