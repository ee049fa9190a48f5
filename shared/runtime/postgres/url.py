"""Read a database URL: `postgresql://user:password@host:port,host:port/database?name=value&…`, as libpq does.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode

from shared.runtime.process.environment import MAX_PORT, SettingsError

DEFAULT_PORT: Final = 5432

_URL: Final = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<hosts>[^@/?#]*)(?:/(?P<database>[^@?#]*))?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]*))?")
_TLS_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_WRITABLE: Final = ("read-write", "primary", "any")


class Address(NamedTuple):
    """Where a server listens: a host name or IP address with a port, or the folder of its socket.

    An empty host stands for the default of PostgreSQL's clients.
    """

    host: str
    port: int

    def __str__(self) -> str:
        if self.host.startswith("/"):
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class DatabaseUrl:
    """The parts of a database URL. `options` is its query, without hosts and credentials."""

    addresses: tuple[Address, ...]
    database: str | None
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    options: Mapping[str, str] = field(repr=False)

    @property
    def address(self) -> str:
        """All addresses, for messages. It has neither the user nor the password."""
        return ", ".join(map(str, self.addresses))

    def arguments(self, address: Address) -> dict[str, Any]:
        """Return the arguments for `asyncpg.connect` to connect to one of the addresses."""
        options = urlencode(self.options)
        place = {"host": address.host, "port": address.port} if address.host else {}
        return {
            "dsn": f"postgresql://?{options}" if options else None,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            **place,
        }


def read_database_url(text: str, name: str = "the database URL") -> DatabaseUrl:
    """Return the parts of a URL. Raise `SettingsError` with the URL's `name`, and no user or password."""
    if not text.startswith(("postgresql://", "postgres://")):
        raise SettingsError(f"{name} is wrong: it has to begin with postgresql://")
    parts = _URL.fullmatch(text)
    has_user_in_query = parts is not None and parts["user"] is None and "@" in (parts["query"] or "")
    if parts is None or has_user_in_query:
        encode = "percent-encode all characters but letters and digits in its user and password"
        raise SettingsError(f"{name} cannot be read as a URL; {encode}")
    options = _read_query(parts["query"] or "", name)
    in_query = {key: options.pop(key, None) for key in ("host", "port", "user", "password", "dbname", "database")}
    if parts["hosts"]:
        addresses = tuple(_read_address(each, name) for each in parts["hosts"].split(","))
    else:
        addresses = _read_hosts(in_query["host"], in_query["port"], name)
    _require_writable(options.pop("target_session_attrs", "any"), name)
    _require_tls(options, name)
    return DatabaseUrl(
        addresses=addresses,
        database=unquote(parts["database"] or "") or in_query["dbname"] or in_query["database"],
        user=unquote(parts["user"] or "") or in_query["user"],
        password=unquote(parts["password"] or "") or in_query["password"],
        options=options,
    )


def _read_query(query: str, name: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise SettingsError(f"{name} is wrong: after the question mark, write name=value, joined by &") from None


def _read_address(text: str, name: str) -> Address:
    match = _HOST.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"{name} is wrong: give hosts as host:port, separated by commas, with a number as port and an IPv6 address "
            "in brackets"
        )
    return Address(unquote(match["host"]).strip("[]"), _read_port(match["port"], name))


def _read_hosts(hosts: str | None, ports: str | None, name: str) -> tuple[Address, ...]:
    """Return the addresses in the parameters `host` and `port`, each a list that is separated by commas."""
    listed = (hosts or "").split(",")
    numbers = [_read_port(each, name) for each in (ports or "").split(",")]
    if len(numbers) not in (1, len(listed)):
        raise SettingsError(f"{name} is wrong: it has {len(listed)} hosts and {len(numbers)} ports")
    if len(listed) > 1 and "" in listed:
        raise SettingsError(f"{name} is wrong: a host in its list of hosts is empty")
    return tuple(
        Address(host, port)
        for host, port in zip(listed, numbers * (len(listed) if len(numbers) == 1 else 1), strict=True)
    )


def _read_port(text: str | None, name: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PORT)) and 0 < int(text) <= MAX_PORT):
        raise SettingsError(f"{name} is wrong: a port is a number from 1 to {MAX_PORT}")
    return int(text)


def _require_writable(wanted: str, name: str) -> None:
    if wanted not in _WRITABLE:
        raise SettingsError(
            f"{name} is wrong: target_session_attrs has to be read-write or primary, because every service writes"
        )


def _require_tls(options: Mapping[str, str], name: str) -> None:
    if options.get("sslmode", "prefer") not in _TLS_MODES:
        raise SettingsError(f"{name} is wrong: sslmode is one of {', '.join(_TLS_MODES)}")
    for option in _TLS_FILES:
        file = options.get(option)
        if file:
            try:
                Path(file).open("rb").close()
            except OSError as error:
                raise SettingsError(f"{name} is wrong: {option} cannot be read: {error.strerror}: {file}") from None
