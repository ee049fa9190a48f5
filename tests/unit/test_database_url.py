"""A database URL is read as PostgreSQL's own clients read it, and an error says what is wrong without repeating it."""

from pathlib import Path

import pytest

from services.polls.settings import PollsSettings
from shared.runtime.postgres.url import read_database_url
from shared.runtime.process.environment import SettingsError, read_settings
from tests.unit.test_settings import GOOD


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://db", "db:5432"),
        ("postgres://db:6000/x", "db:6000"),
        ("postgresql:///pollgate", "localhost:5432"),
        ("postgresql://polls:s3cret@a:5432,b:5433/pollgate?target_session_attrs=read-write", "a:5432, b:5433"),
        ("postgresql://polls:s3cret@a,b:5433/pollgate?target_session_attrs=primary", "a:5432, b:5433"),
        (
            "postgresql://polls:s3cret@[::1]:5433,[fe80::2],c/pollgate",
            "[::1]:5433, [fe80::2]:5432, c:5432",
        ),
        ("postgresql://polls:s3cret@/pollgate?host=/run/postgresql", "/run/postgresql"),
        ("postgresql://polls:s3cret@%2Frun%2Fpostgresql/pollgate", "/run/postgresql"),
        ("postgresql:///pollgate?host=a,b&port=1,2&user=polls&password=s3cret", "a:1, b:2"),
        ("postgresql:///pollgate?host=a,b&port=6000", "a:6000, b:6000"),
    ],
)
def test_address_of_a_url_has_every_host_and_no_credentials(url: str, address: str) -> None:
    read = read_database_url(url)

    assert read.address == address
    assert "s3cret" not in repr(read)
    assert "polls:" not in repr(read)


def test_url_with_encoded_credentials_is_decoded() -> None:
    url = read_database_url(
        "postgresql://po%40lls:s%2F3%3Acr%23et@a/poll%20gate?sslmode=require&application_name=x%26y"
    )

    assert (url.user, url.password, url.database) == ("po@lls", "s/3:cr#et", "poll gate")
    assert url.options == {"sslmode": "require", "application_name": "x&y"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://polls:s3cret/1@db:5432/pollgate", "percent-encode all characters but letters and digits"),
        ("postgresql://polls:s3cret#1@db:5432/pollgate", "percent-encode all characters but letters and digits"),
        ("postgresql://polls:s3cret?1@db:5432/pollgate", "percent-encode all characters but letters and digits"),
        ("postgresql://polls:s3cret@1@db:5432/pollgate", "percent-encode all characters but letters and digits"),
        ("postgresql://polls:12345?x=1@db:5432/pollgate", "percent-encode all characters but letters and digits"),
        ("mysql://polls:s3cret@db/pollgate", "it has to begin with postgresql://"),
        ("polls:s3cret@db/pollgate", "it has to begin with postgresql://"),
        ("", "it has to begin with postgresql://"),
        ("postgresql://polls:s3cret@db:99999/pollgate", "a port is a number from 1 to 65535"),
        ("postgresql://polls:s3cret@db:0/pollgate", "a port is a number from 1 to 65535"),
        ("postgresql://polls:s3cret@db:five/pollgate", "give hosts as host:port, separated by commas"),
        ("postgresql://polls:s3cret@a:5432,,b:5432/pollgate", "give hosts as host:port, separated by commas"),
        ("postgresql://polls:s3cret@::1/pollgate", "an IPv6 address in brackets"),
        ("postgresql://polls:s3cret@/x?host=a,b,c&port=1,2", "it has 3 hosts and 2 ports"),
        ("postgresql://polls:s3cret@/x?host=a,,c", "a host in its list of hosts is empty"),
        ("postgresql://polls:s3cret@/x?host=a&port=s3cret", "a port is a number from 1 to 65535"),
        ("postgresql://polls:s3cret@a,b/x?target_session_attrs=standby", "has to be read-write or primary"),
        ("postgresql://polls:s3cret@a,b/x?target_session_attrs=s3cret", "has to be read-write or primary"),
        ("postgresql://polls:s3cret@db/x?sslmode=full", "sslmode is one of disable, allow, prefer, require, verify-ca"),
        (
            "postgresql://polls:s3cret@db/x?sslrootcert=/nowhere",
            "sslrootcert cannot be read: No such file",
        ),
        ("postgresql://polls:s3cret@db/x?sslmode", "after the question mark, write name=value, joined by &"),
    ],
)
def test_wrong_url_is_refused_with_the_reason_and_without_credentials(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as fault:
        read_settings(PollsSettings, {**GOOD, "POLLS_DATABASE_URL": url or " "})

    assert str(fault.value).startswith("POLLS_DATABASE_URL")
    assert message in str(fault.value)
    assert "s3cret" not in str(fault.value)


def test_url_in_a_file_is_refused_at_the_start_with_the_name_of_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://polls:s3cret@db:five/pollgate")

    with pytest.raises(SettingsError, match=r"^POLLS_DATABASE_URL is wrong: give hosts"):
        read_settings(PollsSettings, {**GOOD, "POLLS_DATABASE_URL": "", "POLLS_DATABASE_URL_FILE": str(file)})
