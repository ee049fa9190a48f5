"""Connect to PostgreSQL: to the one of several hosts that can be written to, with the password that holds now."""

import asyncio
import os
import re
import secrets
import ssl
from collections import deque
from dataclasses import replace
from typing import Any, Final

import asyncpg
import structlog

from shared.runtime.postgres.url import Address, DatabaseUrl, read_database_url
from shared.runtime.process.environment import RotatableText, SettingsError

HEAD_START_S: Final = 0.2
"""How long a host has to answer before the next one is tried too."""
PASSWORD_RETRY_S: Final = 0.1
"""After a refused password, the file of the URL is read again: its password may be about to change."""

_log = structlog.get_logger()

_IS_READ_ONLY, _IS_DIRECT = "SELECT 0", "SELECT 1"
_KIND: Final = """
    SELECT generate_series(1, CASE
        WHEN current_setting('transaction_read_only')::bool THEN 0 WHEN pg_backend_pid() = {pid} THEN 1 ELSE 2
    END)
"""
"""Its command tag says which server answers. It needs no prepared statement. A pooler gives its clients other pids."""
_HOST_MISMATCHES: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""


class CannotConnect(ConnectionError):
    """No host of the URL can be used. The message has the reason, with the address if there are several."""


class PasswordRefused(CannotConnect):
    """A server refuses the role or its password."""


class Connector:
    """Opens connections by a URL, which is read again for each of them.

    While a new password does not work yet, the previous one is used. `statement_cache` is the number of prepared
    statements per connection; it becomes 0 if a pooler does not keep them.
    """

    def __init__(
        self, url: RotatableText | str, *, limit_s: float, command_limit_s: float, statement_cache: int
    ) -> None:
        """Raise `SettingsError` if `url` is not a database URL."""
        self._text = url if isinstance(url, RotatableText) else RotatableText(url)
        self._url = self._working = read_database_url(self._text.read())
        self._preferred = self._url.addresses[0]
        self._is_wrong = False
        self._limit_s = limit_s
        self._command_limit_s = command_limit_s
        self._statement_cache = statement_cache

    @property
    def setting(self) -> str:
        """The variable that has the URL, for messages; words for it if there is none."""
        return self._text.name or "the database URL"

    @property
    def address(self) -> str:
        """The addresses in the URL, for messages."""
        return self._url.address

    async def connect(self, _dsn: str | None = None, **options: Any) -> "asyncpg.Connection":
        """Open a connection. Raise `CannotConnect`, or `TimeoutError` after `limit_s`.

        The arguments are those that asyncpg's pool gives to its `connect`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limit_s - 2 * PASSWORD_RETRY_S
        async with asyncio.timeout(self._limit_s):
            while True:
                try:
                    return await self._connect_now(options)
                except PasswordRefused:
                    if not self._text.may_change or loop.time() > deadline:
                        raise
                await asyncio.sleep(PASSWORD_RETRY_S)

    async def _connect_now(self, options: dict[str, Any]) -> "asyncpg.Connection":
        """Connect by the URL as it is now, or with the user and password of the last one that worked.

        These are sent to no other servers than that one had, and only as the URL says now, such as over TLS.
        """
        url, before = self._read(), self._working
        former = replace(url, user=before.user, password=before.password)
        try:
            connection = await self._connect_to_any(url, options)
        except PasswordRefused:
            if url == former or (url.addresses, url.database) != (before.addresses, before.database):
                raise
            connection = await self._connect_to_any(former, options)
            _log.warning("the new password in the file of the database URL is refused; the one before is used")
            return connection
        self._working = url
        return connection

    def _read(self) -> DatabaseUrl:
        try:
            self._url = read_database_url(self._text.read())
        except SettingsError as error:
            if not self._is_wrong:
                _log.error("the database URL in its file is not used", error=str(error))
            self._is_wrong = True
        else:
            self._is_wrong = False
        return self._url

    async def _connect_to_any(self, url: DatabaseUrl, options: dict[str, Any]) -> "asyncpg.Connection":
        """Try the hosts in turn, each `HEAD_START_S` after the one before or when that has failed. The first wins."""
        waiting = deque(sorted(url.addresses, key=lambda address: address != self._preferred))
        attempts: dict[asyncio.Task[asyncpg.Connection], Address] = {}
        failures: dict[Address, BaseException] = {}
        try:
            while waiting or attempts:
                if waiting:
                    address = waiting.popleft()
                    attempts[asyncio.create_task(self._connect_to(url, address, options))] = address
                limit_s = HEAD_START_S if waiting else None
                done, _ = await asyncio.wait(attempts, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
                for attempt in done:
                    error = attempt.exception()
                    if error is None:
                        self._preferred = attempts.pop(attempt)
                        return attempt.result()
                    failures[attempts.pop(attempt)] = error
        finally:
            for attempt in attempts:
                attempt.add_done_callback(_discard)
                attempt.cancel()
        raise _combine(failures)

    async def _connect_to(self, url: DatabaseUrl, address: Address, options: dict[str, Any]) -> "asyncpg.Connection":
        connection = await self._open(url, address, options)
        try:
            kind = await connection.execute(_KIND.format(pid=connection.get_server_pid()))
            if kind == _IS_READ_ONLY:
                raise CannotConnect("it is read-only, as a standby is")  # noqa: TRY301 - closes the connection
            if kind == _IS_DIRECT or not self._statement_cache or await _keeps_prepared_statements(connection):
                return connection
        except BaseException:
            connection.terminate()
            raise
        await connection.close()
        if self._statement_cache:  # no other connection has noticed meanwhile
            self._statement_cache = 0
            _log.info(
                "a pooler is in front of PostgreSQL and keeps no prepared statements: none are used",
                address=str(address),
            )
        return await self._open(url, address, options)

    async def _open(self, url: DatabaseUrl, address: Address, options: dict[str, Any]) -> "asyncpg.Connection":
        return await asyncpg.connect(
            **url.arguments(address),
            timeout=self._limit_s,
            command_timeout=self._command_limit_s,
            statement_cache_size=self._statement_cache,
            **options,
        )


async def _keeps_prepared_statements(connection: "asyncpg.Connection") -> bool:
    """Return whether a pooler gives prepared statements names of its own, by which it finds them on every server."""
    name = f"pollgate_{secrets.token_hex(8)}"
    async with connection.transaction():
        statement = await connection.prepare("SELECT count(*) FROM pg_prepared_statements WHERE name = $1", name=name)
        is_name_passed_on = bool(await statement.fetchval(name))
        if is_name_passed_on:
            await connection.execute(f"DEALLOCATE {name}")
    return not is_name_passed_on


def _discard(attempt: "asyncio.Task[asyncpg.Connection]") -> None:
    """Close the connection of an attempt that nothing waits for any more."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().terminate()


def _combine(failures: "dict[Address, BaseException]") -> Exception:
    """Return one error for all hosts."""
    if len(failures) == 1:
        reason = reason_of(*failures.values())
    else:
        reason = "; ".join(f"{address}: {reason_of(error)}" for address, error in failures.items())
    is_refused = any(isinstance(error, asyncpg.InvalidAuthorizationSpecificationError) for error in failures.values())
    return PasswordRefused(reason) if is_refused else CannotConnect(reason)


def reason_of(error: BaseException) -> str:
    """Return why PostgreSQL cannot be used, for people. It names no user."""
    if isinstance(error, TimeoutError):
        return "no response in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = (
            "use a host name that the certificate is for"
            if error.verify_code in _HOST_MISMATCHES
            else "name the certificate of its CA in sslrootcert"
        )
        return f"its certificate is refused: {error.verify_message.rstrip('.')}; {remedy}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    message = str(error).partition("\n")[0]  # details and hints are about the statement
    return re.sub(r'(user|role) "[^"]*"', r"the \1 of the URL", message) or type(error).__name__
