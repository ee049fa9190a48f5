"""Settings from the environment: defaults, and errors that name the variable and never its value."""

import base64
import json
import secrets
from pathlib import Path

import msgspec
import pytest
import structlog

from services.polls.settings import PollsSettings
from services.token_authority.domain.administrator import new_rights
from services.token_authority.domain.person import GroupRights
from services.token_authority.settings import TokenAuthoritySettings
from shared.runtime.process.environment import RotatableText, SettingsError, describe_settings, read_settings
from shared.runtime.redis.address import read_redis_url
from tests.support.client_keys import KEY_KINDS, ClientKey, Kind

GOOD = {
    "POLLS_DATABASE_URL": "postgresql://polls@db/pollgate",
    "REDIS_URL": "redis://redis",
    "TOKEN_AUTHORITY_URL": "http://authority",
    "INTROSPECTION_CLIENT_SECRET": "s3cret",
    "PARTICIPANT_KEY": "s3cret-" * 6 + "A",
}
AUTHORITY = {
    "TOKEN_AUTHORITY_DATABASE_URL": "postgresql://db",
    "SERVICE_CREDENTIALS": "polls:s3cret",
    "KEY_ENCRYPTION_KEY": "s3cret-" * 6 + "A",
}


def test_unset_variable_has_its_default() -> None:
    settings = read_settings(PollsSettings, {**GOOD, "POLLS_PORT": ""})

    assert (settings.polls_port, settings.redis_url.read()) == (8080, "redis://redis")


def test_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    environ = {**GOOD, "INTROSPECTION_CLIENT_SECRET": "", "INTROSPECTION_CLIENT_SECRET_FILE": str(file)}

    assert read_settings(PollsSettings, environ).introspection_client_secret == "from a file"


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o644, 1)])
def test_secret_file_that_others_can_read_is_logged(tmp_path: Path, mode: int, warnings: int) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    file.chmod(mode)
    environ = {**GOOD, "INTROSPECTION_CLIENT_SECRET": "", "INTROSPECTION_CLIENT_SECRET_FILE": str(file)}

    with structlog.testing.capture_logs() as logged:
        read_settings(PollsSettings, environ)

    name = "INTROSPECTION_CLIENT_SECRET_FILE"
    event = "other users can read the file of a setting"
    assert logged == [{"event": event, "name": name, "file": str(file), "log_level": "warning"}] * warnings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"POLLS_DATABASE_URL": ""}, "POLLS_DATABASE_URL is not set"),
        ({"POLLS_PORT": "s3cret"}, "POLLS_PORT is wrong"),
        ({"POLLS_PORT": "99999"}, "POLLS_PORT is wrong"),
        ({"REDIS_URL_FILE": "/nowhere"}, "REDIS_URL and REDIS_URL_FILE are both set"),
        ({"REDIS_URL": "", "REDIS_URL_FILE": "/nowhere"}, "REDIS_URL_FILE cannot be read: No such file"),
    ],
)
def test_error_names_the_variable_and_not_its_value(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as fault:
        read_settings(PollsSettings, {**GOOD, **change})

    assert message in str(fault.value)
    assert "s3cret" not in str(fault.value)


PEM_TEXT = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"INTROSPECTION_CLIENT_SECRET": ""}, "set one of INTROSPECTION_CLIENT_SECRET and"),
        (
            {"INTROSPECTION_PRIVATE_KEY": "s3cret"},
            "set one of INTROSPECTION_CLIENT_SECRET and",
        ),
        (
            {"INTROSPECTION_CLIENT_SECRET": "", "INTROSPECTION_PRIVATE_KEY": PEM_TEXT},
            "INTROSPECTION_PRIVATE_KEY is wrong: it is not a private key in PEM",
        ),
    ],
)
def test_guard_without_exactly_one_valid_credential_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as fault:
        read_settings(PollsSettings, {**GOOD, **change})

    assert message in str(fault.value)
    assert "s3cret" not in str(fault.value)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_private_key_is_read_from_its_file(tmp_path: Path, kind: Kind) -> None:
    file = tmp_path / "key.pem"
    file.write_text(ClientKey(kind).private_pem)
    environ = {**GOOD, "INTROSPECTION_CLIENT_SECRET": "", "INTROSPECTION_PRIVATE_KEY_FILE": str(file)}

    assert read_settings(PollsSettings, environ).signing_key is not None


@pytest.mark.parametrize("url", ["http://polls:s3cret@authority", "authority:8081", "ftp://authority", "http://"])
def test_url_of_authority_that_cannot_be_used_or_shown_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="TOKEN_AUTHORITY_URL is wrong: give http") as error:
        read_settings(PollsSettings, {**GOOD, "TOKEN_AUTHORITY_URL": url})

    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("password", ["s3cret/1", "s3cret#1", "s3cret?1", "[s3cret", "s3cret\u2100"])
def test_error_for_an_invalid_url_does_not_contain_the_url(password: str) -> None:
    with pytest.raises(SettingsError, match="cannot be read as a URL; percent-encode") as fault:
        read_redis_url(f"redis://polls:{password}@redis:6379")

    assert "s3cret" not in str(fault.value)


def test_error_for_a_port_that_is_too_large_says_so() -> None:
    with pytest.raises(SettingsError, match="a port is a number from 1 to 65535"):
        read_redis_url("redis://polls:s3cret@redis:99999/0")


@pytest.mark.parametrize("lease", ["0", "-1", "0.4", "60.1", "1e9", "nan", "inf", "5s", "true"])
def test_lease_outside_its_range_is_refused(lease: str) -> None:
    environ = {**GOOD, **AUTHORITY}

    assert read_settings(TokenAuthoritySettings, {**environ, "REVOCATION_LEASE": "0.5"}).lease_ms == 500
    with pytest.raises(SettingsError, match=r"REVOCATION_LEASE is wrong: .*for how many seconds, 0\.5 to 60,"):
        read_settings(TokenAuthoritySettings, {**environ, "REVOCATION_LEASE": lease})


@pytest.mark.parametrize("text", ["{0}", "{0}=", "{0} {0}", "{0}\n{0}=\n"])
def test_key_encryption_keys_are_read_with_or_without_padding(text: str) -> None:
    key = secrets.token_bytes(32)
    encoded = text.format(base64.urlsafe_b64encode(key).decode().rstrip("="))

    settings = read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, "KEY_ENCRYPTION_KEY": encoded})

    assert set(settings.encryption_secrets) == {key}


@pytest.mark.parametrize(
    "key", ["", " ", "s3cret", "s3cret-" * 6, "s3cret+" * 6 + "A", "s3cret-" * 7, "s3crét-" * 6 + "A"]
)
def test_invalid_key_encryption_key_is_refused_with_how_to_create_one(key: str) -> None:
    with pytest.raises(
        SettingsError, match=r"^KEY_ENCRYPTION_KEY is .*`pollgate secrets` or `python -c '.*'`"
    ) as fault:
        read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, "KEY_ENCRYPTION_KEY": key})

    assert "s3cr" not in str(fault.value)


@pytest.mark.parametrize("text", ["{0}", "{0}=", "{0}\n"])
def test_participant_key_is_read_as_32_bytes(text: str) -> None:
    key = secrets.token_bytes(32)
    encoded = text.format(base64.urlsafe_b64encode(key).decode().rstrip("="))

    settings = read_settings(PollsSettings, {**GOOD, "PARTICIPANT_KEY": encoded})

    assert settings.participant_secret == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "PARTICIPANT_KEY is not set; set it, or PARTICIPANT_KEY_FILE .*people can vote twice"),
        ("s3cret", "PARTICIPANT_KEY is wrong: give 32 random bytes in base64url, as from `pollgate secrets` or "),
        (" ".join(["s3cret-" * 6 + "A"] * 2), "PARTICIPANT_KEY is wrong: give one secret, not 2"),
    ],
)
def test_invalid_participant_key_is_refused_and_not_repeated(key: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as fault:
        read_settings(PollsSettings, {**GOOD, "PARTICIPANT_KEY": key})

    assert "s3cr" not in str(fault.value)


RENAMED = [
    ("WRONG_CREDENTIALS_A_MINUTE", "WRONG_CREDENTIALS_PER_MINUTE"),
    ("WRONG_CREDENTIALS_A_MINUTE_A_SERVICE", "WRONG_CREDENTIALS_PER_MINUTE_PER_SERVICE"),
    ("OPEN_TOKENS_A_MINUTE", "OPEN_TOKENS_PER_MINUTE"),
]


@pytest.mark.parametrize(("former", "name"), RENAMED)
def test_former_name_of_renamed_variable_works_and_logs_a_warning(former: str, name: str) -> None:
    with structlog.testing.capture_logs() as logged:
        settings = read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, former: "7"})

    assert getattr(settings, name.lower()) == 7
    assert [(entry["log_level"], entry["former"], entry["name"]) for entry in logged] == [("warning", former, name)]


@pytest.mark.parametrize(("former", "name"), RENAMED)
def test_current_name_of_renamed_variable_logs_nothing(former: str, name: str) -> None:
    with structlog.testing.capture_logs() as logged:
        settings = read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, name: "7", former: ""})

    assert (getattr(settings, name.lower()), logged) == (7, [])


def test_former_name_from_a_file_works(tmp_path: Path) -> None:
    file = tmp_path / "limit"
    file.write_text("7\n")
    environ = {**GOOD, **AUTHORITY, "OPEN_TOKENS_A_MINUTE_FILE": str(file)}

    assert read_settings(TokenAuthoritySettings, environ).open_tokens_per_minute == 7


@pytest.mark.parametrize(("former", "name"), RENAMED)
def test_former_and_current_name_together_are_refused(former: str, name: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, former: "7", name: "8"})

    assert str(error.value) == f"{former} is the former name of {name}, and both are set; keep {name}"


@pytest.mark.parametrize(("former", "name"), RENAMED)
def test_invalid_value_under_former_name_is_refused_without_the_value(former: str, name: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is wrong: ") as error:
        read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, former: "s3cret"})

    assert "s3cret" not in str(error.value)


PROVIDER = {
    **GOOD,
    **AUTHORITY,
    "OIDC_ISSUER": "https://login.example.com/realms/main",
    "OIDC_CLIENT_ID": "pollgate",
    "OIDC_CLIENT_SECRET": "s3cret",
    "OIDC_GROUPS": '{"admins": "admin"}',
}


def test_groups_of_provider_are_read_in_their_order() -> None:
    groups = {"z": {"role": "issuer", "scopes": ["polls:*:PLAT"]}, "m": {"role": "auditor", "sites": ["site_1"]}}
    environ = {**PROVIDER, "OIDC_GROUPS": json.dumps({**groups, "a": "admin"})}

    assert read_settings(TokenAuthoritySettings, environ).group_rights == (
        GroupRights("z", new_rights("issuer", None, ["polls:*:PLAT"])),
        GroupRights("m", new_rights("auditor", ["site_1"], None)),
        GroupRights("a", new_rights("admin", None, None)),
    )


def test_authority_without_provider_has_no_groups() -> None:
    settings = read_settings(TokenAuthoritySettings, {**GOOD, **AUTHORITY, "OIDC_GROUPS": ""})

    assert (settings.oidc_issuer, settings.group_rights) == ("", ())
    assert (settings.oidc_name, settings.oidc_scopes) == ("your organisation", "openid profile email groups")


def test_client_secret_of_provider_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    file.chmod(0o600)
    environ = {**PROVIDER, "OIDC_CLIENT_SECRET": "", "OIDC_CLIENT_SECRET_FILE": str(file)}

    assert read_settings(TokenAuthoritySettings, environ).oidc_client_secret == "from a file"


@pytest.mark.parametrize(
    "issuer", ["https://login.example.com/", "http://127.0.0.1:9000", "http://[::1]:9000/x", "http://localhost"]
)
def test_issuer_with_tls_or_on_this_machine_is_accepted(issuer: str) -> None:
    assert read_settings(TokenAuthoritySettings, {**PROVIDER, "OIDC_ISSUER": issuer}).oidc_issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    [
        "login.example.com",
        "http://login.example.com",
        "http://127.0.0.1.example.com",
        "https://ada:s3cret@login.example.com",
        "https://login.example.com/?x=s3cret",
        "https://login.example.com/#s3cret",
        "https://login.example.com:s3cret",
        "https://login.example.com/a s3cret",
        "https://",
        "https://[s3cret",
    ],
)
def test_issuer_that_is_no_https_url_is_refused(issuer: str) -> None:
    with pytest.raises(SettingsError, match="OIDC_ISSUER is wrong: give the https URL") as fault:
        read_settings(TokenAuthoritySettings, {**PROVIDER, "OIDC_ISSUER": issuer})

    assert "s3cret" not in str(fault.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"OIDC_CLIENT_ID": ""}, "OIDC_CLIENT_ID is not set"),
        ({"OIDC_GROUPS": ""}, "OIDC_GROUPS is not set"),
        ({"OIDC_SCOPES": "profile"}, "OIDC_SCOPES is wrong: it has to contain openid"),
        ({"OIDC_GROUPS": "{"}, "OIDC_GROUPS is wrong: give a JSON object"),
        ({"OIDC_GROUPS": "[" * 100_000}, "OIDC_GROUPS is wrong: give a JSON object"),
        ({"OIDC_GROUPS": '["admins"]'}, "OIDC_GROUPS is wrong: give a JSON object"),
        ({"OIDC_GROUPS": "{}"}, "OIDC_GROUPS is wrong: give a JSON object"),
        ({"OIDC_GROUPS": '{"x": "admin", "x": "auditor"}'}, "OIDC_GROUPS is wrong: the name 'x' is empty or occurs"),
        ({"OIDC_GROUPS": '{"": "admin"}'}, "OIDC_GROUPS is wrong: the name '' is empty"),
        ({"OIDC_GROUPS": '{"x": "owner"}'}, "OIDC_GROUPS is wrong: the group 'x' needs a role"),
        ({"OIDC_GROUPS": '{"x": null}'}, "OIDC_GROUPS is wrong: the group 'x' needs a role"),
        ({"OIDC_GROUPS": '{"x": {"role": "admin", "scope": []}}'}, "OIDC_GROUPS is wrong: the group 'x' needs a role"),
        ({"OIDC_GROUPS": '{"x": "issuer"}'}, "scopes of the group 'x': an issuer needs limits"),
        (
            {"OIDC_GROUPS": '{"x": {"role": "admin", "scopes": ["polls:*:*"]}}'},
            "role of the group 'x': an admin has no limits",
        ),
        (
            {"OIDC_GROUPS": '{"x": {"role": "issuer", "scopes": ["polls:*:PLAT", "polls:fly:*"]}}'},
            "scopes[1] of the group 'x': at character 7: an action is one of read, create",
        ),
    ],
)
def test_incomplete_or_invalid_provider_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as fault:
        read_settings(TokenAuthoritySettings, {**PROVIDER, **change})

    assert message in str(fault.value)
    assert "s3cret" not in str(fault.value)


@pytest.mark.parametrize("kind", [PollsSettings, TokenAuthoritySettings])
def test_every_variable_is_described(kind: type[PollsSettings] | type[TokenAuthoritySettings]) -> None:
    for line in describe_settings(kind).splitlines():
        _variable, meaning = line.split(maxsplit=1)
        assert not meaning.startswith("(")


class Rotated(msgspec.Struct):
    """Settings with a text that may change while the process runs."""

    database_url: RotatableText


def test_rotatable_text_of_a_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("first\n")
    file.chmod(0o600)
    url = read_settings(Rotated, {"DATABASE_URL_FILE": str(file)}).database_url

    before = url.read()
    file.write_text("second\n")

    assert (before, url.read()) == ("first", "second")


def test_rotatable_text_of_a_variable_stays() -> None:
    assert read_settings(Rotated, {"DATABASE_URL": "first"}).database_url.read() == "first"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_rotatable_text_without_a_readable_file_stays_and_logs_once(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "url"
    file.write_text("first")
    url = RotatableText("first", file)
    file.unlink() if content is None else file.write_bytes(content)

    with structlog.testing.capture_logs() as logged:
        texts = [url.read(), url.read()]

    assert texts == ["first", "first"]
    assert [entry["event"] for entry in logged] == ["the file of a setting cannot be read again"]
    file.write_text("second")
    assert url.read() == "second"
