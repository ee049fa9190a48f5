"""Read the URL of Redis: one server, Sentinels that name the master, or a cluster."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import SplitResult, unquote

import msgspec
from redis.asyncio.connection import RedisSSLContext, parse_url
from redis.exceptions import RedisError

from shared.runtime.process.environment import RotatableText, SettingsError, split_url

Kind = Literal["server", "sentinel", "cluster"]

_SCHEMES: Final[Mapping[str, tuple[Kind, bool]]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "unix": ("server", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS: Final[Mapping[Kind, int]] = {"server": 6379, "sentinel": 26379, "cluster": 6379}
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_OPTIONS: Final = (
    *("db", "username", "password", "client_name", "protocol", "max_connections", "health_check_interval"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_read_size"),
    *(*_FILES, "ssl_ca_data", "ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"),
)
"""Those of redis-py that an operator can use for every kind."""
_NAME: Final = "REDIS_URL"


class Credentials(msgspec.Struct, frozen=True):
    """A user and a password in Redis; without a user, the password of the default user."""

    user: str = ""
    password: str = ""


class RedisAddress(msgspec.Struct, frozen=True):
    """What a Redis URL says. `options` are the arguments of redis-py's connections, without credentials.

    `master` is the name of the master at the Sentinels, whose own credentials are `sentinel_credentials`.
    """

    kind: Kind
    is_tls: bool
    hosts: tuple[tuple[str, int], ...]
    master: str
    options: Mapping[str, Any]
    credentials: Credentials
    sentinel_credentials: Credentials

    def __str__(self) -> str:
        """Return hosts and ports, never a user or a password."""
        if path := self.options.get("path"):
            return str(path)
        hosts = ",".join(format_host(host, port) for host, port in self.hosts)
        return f"{hosts}/{self.master}" if self.master else hosts


def read_redis_url(url: str) -> RedisAddress:
    """Return the parts of a Redis URL. Raise `SettingsError`, which contains nothing secret of the URL.

    `redis://[user:password@]host[:port][/database]`, or `rediss://…` for TLS;
    `redis+sentinel://[user:password@]host[:port][,host[:port]]…/master[/database]`, or `rediss+sentinel://…`;
    `redis+cluster://[user:password@]host[:port][,host[:port]]…`, or `rediss+cluster://…`. After `?`, all take the
    options of redis-py's connections, and Sentinels `sentinel_username` and `sentinel_password`.
    """
    if "#" in url:  # what follows it would be ignored
        encode = "percent-encode all characters but letters and digits in its user and password"
        raise SettingsError(f"{_NAME} cannot be read as a URL; {encode}")
    first, hosts = _split_hosts(url)
    scheme = _SCHEMES.get(first.scheme)
    if scheme is None:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        raise SettingsError(f"{_NAME} has to begin with one of {known}")
    kind, is_tls = scheme
    if kind == "server" and len(hosts) > 1:
        raise SettingsError(f"{_NAME} names several hosts; begin it with redis+sentinel:// or redis+cluster://")
    master, database = _split_path(kind, first.path)
    options = _read_options(first, database)
    if kind == "cluster" and options.pop("db", 0):
        raise SettingsError(f"{_NAME} names a database, and a cluster has only one; leave it out")
    credentials = Credentials(options.pop("username", ""), options.pop("password", ""))
    sentinel_credentials = Credentials(*(options.pop(name, "") for name in _SENTINEL_OPTIONS))
    if first.scheme == "unix":
        options["path"] = unquote(first.path)
    elif not is_tls and any(name.startswith("ssl_") for name in options):
        raise SettingsError(f"{_NAME} has options of TLS; begin it with {first.scheme.replace('redis', 'rediss')}://")
    read_hosts = tuple(_read_host(host, _PORTS[kind]) for host in hosts)
    return RedisAddress(kind, is_tls, read_hosts, master, options, credentials, sentinel_credentials)


def format_host(host: str, port: int) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_HOSTS: Final = re.compile(r"(?P<start>[^/?#]*//(?:[^/?#]*@)?)(?P<hosts>[^/?#@]*)(?P<rest>.*)", re.DOTALL)


def _split_hosts(url: str) -> tuple[SplitResult, list[str]]:
    """Return the parts of the URL with its first host only, and all hosts."""
    found = _HOSTS.fullmatch(url)
    if found is None:
        return split_url(url, _NAME), [""]
    hosts = found["hosts"].split(",")
    return split_url(found["start"] + hosts[0] + found["rest"], _NAME), hosts


def _split_path(kind: Kind, path: str) -> tuple[str, str]:
    """Return the name of the master, which only Sentinels need, and the number of the database."""
    if kind != "sentinel":
        return "", path.strip("/")
    master, _, database = path.strip("/").partition("/")
    if not master:
        raise SettingsError(f"{_NAME} has no name of a master; add it after the Sentinels, such as /mymaster")
    return unquote(master), database


def _read_host(text: str, default_port: int) -> tuple[str, int]:
    parts = split_url(f"//{text}", _NAME)
    return parts.hostname or "localhost", parts.port or default_port


def _read_options(first: SplitResult, database: str) -> dict[str, Any]:
    """Return the options of the URL as redis-py reads them, with the credentials among them."""
    credentials = f"{first.netloc.rpartition('@')[0]}@" if "@" in first.netloc else ""
    try:
        options: dict[str, Any] = dict(parse_url(f"redis://{credentials}/?{first.query}"))
    except ValueError as error:
        raise SettingsError(f"{_NAME} is wrong: {error}") from None
    if database and "db" not in options:
        if not database.isdecimal():
            raise SettingsError(f"{_NAME} has no number of a database after its host, such as /0")
        options["db"] = int(database)
    if set(options) - {*_OPTIONS, *_SENTINEL_OPTIONS}:  # they are not repeated: they may be a part of a password
        raise SettingsError(f"{_NAME} has an unknown option; known are {', '.join(_OPTIONS)}")
    return options


def require_redis_url(url: str | RotatableText) -> RedisAddress:
    """Return the parts of the URL in a setting.

    Raise `SettingsError`, also for a certificate or key that is missing, and for options of TLS that cannot be used.
    """
    address = read_redis_url(url if isinstance(url, str) else url.read())
    _require_usable_tls(address)
    return address


def _require_usable_tls(address: RedisAddress) -> None:
    options = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
    for name in _FILES:
        if name in options:
            try:
                Path(options[name]).read_bytes()
            except OSError as error:
                raise SettingsError(
                    f"the file of {name} in {_NAME} cannot be read: {error.strerror}: {options[name]}"
                ) from None
    try:
        RedisSSLContext(**{name.removeprefix("ssl_"): value for name, value in options.items()}).get()
    except (RedisError, OSError, ValueError):
        raise SettingsError(
            f"{_NAME}: the options {', '.join(options)} cannot be used; files have to be PEM and fit together"
        ) from None
