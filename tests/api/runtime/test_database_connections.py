"""How connections to PostgreSQL are opened: over TLS, to one of several hosts, and with a password that changes."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pollgate.stack.errors import StackError
from pollgate.stack.migrate import migrate_all
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.postgres.database import database as open_database
from shared.runtime.process.environment import RotatableText
from tests.support.databases import role_passwords
from tests.support.ports import take_port
from tests.support.postgres import fetch
from tests.support.postgres_server import (
    SUPERUSER_PASSWORD,
    PostgresServer,
    find_programs_with_tls,
    let_postgres_user_own,
    run_primary_and_standby,
)
from tests.support.proxy import run_proxy
from tests.support.stack import HOST

ALLOW_TLS_ONLY: Final = "hostssl all postgres all scram-sha-256\nhostssl all client all cert\n"


class Issuer:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.crt"
        self._write(self.file, self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None)))

    def issue(self, name: str, *, addresses: bool = False) -> tuple[Path, Path]:
        """Return the files of a certificate and its key, for a client or for a server on loopback."""
        key = ec.generate_private_key(ec.SECP256R1())
        extension = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address(HOST))] if addresses else [x509.DNSName(name)]
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        self._write(certificate, self._sign(subject, key, extension))
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private.chmod(0o600)
        return certificate, private

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(self._key, SHA256())
        )

    @staticmethod
    def _write(file: Path, certificate: x509.Certificate) -> None:
        file.write_bytes(certificate.public_bytes(Encoding.PEM))


class TlsServer(NamedTuple):
    """A server that takes TLS only, its issuer, and an issuer that it does not know."""

    server: PostgresServer
    issuer: Issuer
    stranger: Issuer

    def url(self, options: str, *, host: str = HOST, user: str = f"postgres:{SUPERUSER_PASSWORD}") -> str:
        return f"postgresql://{user}@{host}:{self.server.port}/postgres?{options}"


@pytest.fixture(scope="module")
async def tls(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[TlsServer, None]:
    """Run a server with a certificate for 127.0.0.1."""
    programs = find_programs_with_tls()
    if programs is None:
        pytest.skip("needs PostgreSQL with TLS: apt install postgresql")
    folder = tmp_path_factory.mktemp("tls")
    server = PostgresServer(folder / "server", programs)
    await server.create()
    issuer = Issuer(folder, "issuer")
    certificate, key = issuer.issue("server", addresses=True)
    for file in (issuer.file, certificate, key):
        (server.folder / file.name).write_bytes(file.read_bytes())
        let_postgres_user_own(server.folder / file.name)
    server.allow(ALLOW_TLS_ONLY)
    await server.start(
        {"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key", "ssl_ca_file": "issuer.crt"}
    )
    try:
        yield TlsServer(server, issuer, Issuer(folder, "stranger"))
    finally:
        await server.stop()


async def _is_encrypted(url: str) -> bool:
    async with open_database(url, size=1, statement_cache=100, timeout_s=0) as opened:
        (row,) = await opened.fetch("-- ssl: of this session\nSELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return bool(row["ssl"])


async def test_server_with_a_verified_certificate_is_used(tls: TlsServer) -> None:
    assert await _is_encrypted(tls.url(f"sslmode=verify-full&sslrootcert={tls.issuer.file}"))


async def test_client_certificate_authenticates(tls: TlsServer) -> None:
    await fetch(tls.url(f"sslmode=verify-full&sslrootcert={tls.issuer.file}"), "CREATE ROLE client LOGIN")
    certificate, key = tls.issuer.issue("client")

    options = f"sslmode=verify-full&sslrootcert={tls.issuer.file}&sslcert={certificate}&sslkey={key}"
    assert await _is_encrypted(tls.url(options, user="client"))


@pytest.mark.parametrize(
    ("host", "user", "options", "reason"),
    [
        (
            "localhost",
            "",
            "sslmode=verify-full&sslrootcert={issuer}",
            "its certificate is refused: Hostname mismatch, certificate is not valid for 'localhost'; use a host name "
            "that the certificate is for",
        ),
        (
            HOST,
            "",
            "sslmode=verify-ca&sslrootcert={stranger}",
            "; name the certificate of its CA in sslrootcert",
        ),
        (HOST, "", "sslmode=disable", "no pg_hba.conf entry for host"),
        (HOST, "client", "sslmode=verify-full&sslrootcert={issuer}", "connection requires a valid client certificate"),
    ],
    ids=["wrong host", "wrong CA", "no TLS", "no client certificate"],
)
async def test_tls_that_fails_is_one_sentence_with_the_address(
    tls: TlsServer, host: str, user: str, options: str, reason: str
) -> None:
    options = options.format(issuer=tls.issuer.file, stranger=tls.stranger.file)
    url = tls.url(options, host=host, user=user or f"postgres:{SUPERUSER_PASSWORD}")

    with pytest.raises(DatabaseUnavailable) as failure:
        await _is_encrypted(url)

    message = str(failure.value)
    assert message.startswith(f"cannot connect to PostgreSQL at {host}:{tls.server.port}, tried for 0 s: ")
    assert reason in message
    assert message.endswith("correct the database URL.")
    assert "\n" not in message
    assert SUPERUSER_PASSWORD not in message


async def test_migrate_reports_a_refused_certificate_in_one_sentence(tls: TlsServer) -> None:
    url = tls.url(f"sslmode=verify-full&sslrootcert={tls.stranger.file}")

    with pytest.raises(StackError, match=rf"^cannot migrate token_authority at {HOST}:\d+: its certificate is refused"):
        await migrate_all(url, role_passwords())


class Pair(NamedTuple):
    """A server and its standby."""

    primary: PostgresServer
    standby: PostgresServer

    def url(self, *addresses: str) -> str:
        return f"postgresql://postgres:{SUPERUSER_PASSWORD}@{','.join(addresses)}/postgres"


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Pair, None]:
    """Run a primary and its standby."""
    async with run_primary_and_standby(tmp_path_factory.mktemp("pair")) as (primary, standby):
        yield Pair(primary, standby)


async def _port_of(opened: Database) -> int:
    (row,) = await opened.fetch("-- port: of the server\nSELECT inet_server_port() AS port")
    return int(row["port"])


async def test_standby_and_refusing_hosts_are_passed_over(pair: Pair) -> None:
    url = pair.url(f"{HOST}:{take_port()}", pair.standby.address, pair.primary.address)

    async with open_database(url, size=4, statement_cache=100, timeout_s=0) as opened:
        assert await _port_of(opened) == pair.primary.port
        assert opened.address == f"{url.rpartition('@')[2].partition('/')[0].replace(',', ', ')}"


async def test_host_that_swallows_packets_does_not_use_up_the_limit(pair: Pair) -> None:
    async with run_proxy(pair.primary.url) as silent:
        silent.set_mode("black hole")
        url = pair.url(f"{HOST}:{silent.port}", pair.primary.address)

        async with open_database(url, size=1, statement_cache=100, timeout_s=10) as opened:
            assert await _port_of(opened) == pair.primary.port


async def test_error_without_a_usable_host_has_every_address_and_its_reason(pair: Pair) -> None:
    free = take_port()
    url = pair.url(pair.standby.address, f"{HOST}:{free}")

    with pytest.raises(DatabaseUnavailable) as failure:
        async with open_database(url, size=4, statement_cache=100, timeout_s=0):
            pass

    assert f"PostgreSQL at {pair.standby.address}, {HOST}:{free}, tried for 0 s: " in str(failure.value)
    assert f"{pair.standby.address}: it is read-only, as a standby is" in str(failure.value)
    assert f"{HOST}:{free}: Connection refused" in str(failure.value)
    assert SUPERUSER_PASSWORD not in str(failure.value)


async def test_single_host_that_is_a_standby_is_refused(pair: Pair) -> None:
    with pytest.raises(DatabaseUnavailable, match="it is read-only, as a standby is"):
        async with open_database(pair.url(pair.standby.address), size=1, statement_cache=100, timeout_s=0):
            pass


async def test_connections_to_a_server_that_became_read_only_are_replaced(pair: Pair, tmp_path: Path) -> None:
    async with open_database(pair.url(pair.primary.address), size=3, statement_cache=100) as opened:
        await opened.execute("-- make: a table\nCREATE TABLE IF NOT EXISTS written (id int)")
        pids = await _pids(opened)
        await opened.execute("-- demote: this session\nSET default_transaction_read_only = on")

        failures: list[str] = []
        async with asyncio.timeout(10):
            while not await _writes(opened, failures):
                pass

        assert len(failures) == 1
        assert "read-only transaction" in failures[0]
        assert not pids & await _pids(opened)


async def test_previous_password_is_used_with_the_new_options_of_the_url(pair: Pair, tmp_path: Path) -> None:
    url, file = pair.url(pair.primary.address), tmp_path / "url"
    file.touch(mode=0o600)
    file.write_text(url)
    async with open_database(RotatableText(url, file), size=2, statement_cache=100) as opened:
        file.write_text(url.replace(SUPERUSER_PASSWORD, "not-yet") + "?application_name=renamed")
        await opened.replace_connections()

        (row,) = await opened.fetch("-- name: of the connection\nSELECT current_setting('application_name') AS name")

    assert row["name"] == "renamed"


async def _writes(opened: Database, failures: list[str]) -> bool:
    """Return whether a row can be inserted. If not, add the error to `failures`."""
    try:
        await opened.execute("-- write: a row\nINSERT INTO written VALUES (1)")
    except DatabaseUnavailable as error:
        failures.append(str(error))
        return False
    return True


async def _pids(opened: Database) -> set[int]:
    """Return the pids of three connections at once."""

    async def pid() -> int:
        (row,) = await opened.fetch("-- pid: of the connection\nSELECT pg_backend_pid() AS pid, pg_sleep(0.2)")
        return int(row["pid"])

    return set(await asyncio.gather(*(pid() for _ in range(3))))
