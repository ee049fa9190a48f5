"""People sign in through an OpenID provider; responses that are wrong in any way sign in no one."""

import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from services.token_authority.domain.errors import NoRole, ProviderUnavailable, SignInRefused
from services.token_authority.domain.person import Person, find_rights
from services.token_authority.operations.identity_provider import (
    IdentityProvider,
    ProviderConfig,
    SignInAttempt,
    attempt_of,
)
from services.token_authority.sign_in_settings import read_group_rights
from tests.support.identity_provider import Algorithm, FakeIdentityProvider, run_identity_provider
from tests.support.ports import take_port

CALLBACK = "http://127.0.0.1:8081/settings/sign-in/callback"
ATTEMPT = attempt_of("a random secret")


class Flow(NamedTuple):
    """A provider, and an authority's side of it. `now` is the time of its clock in seconds."""

    provider: FakeIdentityProvider
    http: aiohttp.ClientSession
    now: list[float]

    def connect(self, **config: str) -> IdentityProvider:
        """Return what a process of the authority has of the provider."""
        usual = ProviderConfig(
            self.provider.issuer,
            self.provider.client_id,
            self.provider.client_secret,
            "openid profile email groups",
            "groups",
            CALLBACK,
        )
        return IdentityProvider(self.http, usual._replace(**config), clock=lambda: self.now[0])

    async def visit(self, identity: IdentityProvider, attempt: SignInAttempt = ATTEMPT) -> dict[str, str]:
        """Open the authorization URL as a browser, and return the parameters with which the provider sends it back."""
        async with self.http.get(await identity.authorization_url(attempt), allow_redirects=False) as response:
            assert response.status == 302, await response.text()
            address, _, query = response.headers["Location"].partition("?")
        assert address == CALLBACK
        return {name: values[0] for name, values in parse_qs(query).items()}

    async def sign_in(self, identity: IdentityProvider, attempt: SignInAttempt = ATTEMPT) -> Person:
        """Sign in the provider's person."""
        return await identity.authenticate(attempt, (await self.visit(identity, attempt))["code"])


@pytest.fixture
async def flow() -> AsyncGenerator[Flow, None]:
    """Run a provider with a confidential client."""
    async with run_identity_provider() as provider, aiohttp.ClientSession() as http:
        yield Flow(provider, http, [1000.0])


def test_values_of_an_attempt_differ_and_depend_on_its_secret() -> None:
    values = {*attempt_of("one"), *attempt_of("two")}

    assert attempt_of("one") == attempt_of("one")
    assert len(values) == 6
    assert all(43 <= len(value) <= 128 and value.replace("-", "").replace("_", "").isalnum() for value in values)


async def test_sign_in_returns_person_with_groups(flow: Flow) -> None:
    flow.provider.person = {"sub": "u-7", "preferred_username": "ada", "groups": ["audit", "plat-team"]}
    identity = flow.connect()

    sent_back = await flow.visit(identity)
    person = await identity.authenticate(ATTEMPT, sent_back["code"])

    assert person == Person("u-7", "ada", ("audit", "plat-team"))
    assert sent_back["state"] == ATTEMPT.state
    assert flow.provider.client_authentications == ["client_secret_basic"]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_id_token_with_accepted_algorithm_signs_in(flow: Flow, algorithm: Algorithm) -> None:
    flow.provider.algorithm = algorithm

    assert (await flow.sign_in(flow.connect())).id == "u-1"


async def test_authorization_url_of_endpoint_with_query_keeps_the_query(flow: Flow) -> None:
    flow.provider.metadata = {"authorization_endpoint": f"{flow.provider.issuer}/authorize?tenant=a%26b"}

    url = await flow.connect().authorization_url(ATTEMPT)

    query = parse_qs(urlsplit(url).query)
    assert (query["tenant"], query["state"], query["redirect_uri"]) == (["a&b"], [ATTEMPT.state], [CALLBACK])
    assert ATTEMPT.verifier not in url


async def test_provider_with_client_secret_post_only_gets_the_secret_in_the_form(flow: Flow) -> None:
    flow.provider.metadata = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]}

    assert (await flow.sign_in(flow.connect())).id == "u-1"
    assert flow.provider.client_authentications == ["client_secret_post"]


async def test_public_client_signs_in_without_secret() -> None:
    async with run_identity_provider(client_secret="") as provider, aiohttp.ClientSession() as http:
        flow = Flow(provider, http, [0.0])

        assert (await flow.sign_in(flow.connect())).id == "u-1"
        assert provider.client_authentications == ["none"]


async def test_client_secret_with_special_characters_is_encoded() -> None:
    async with (
        run_identity_provider("poll gate:é", "50% of +/=:é") as provider,
        aiohttp.ClientSession() as http,
    ):
        flow = Flow(provider, http, [0.0])

        assert (await flow.sign_in(flow.connect())).id == "u-1"


@pytest.mark.parametrize(("claim", "groups"), [("audit", ("audit",)), (["b", "a"], ("b", "a")), ([], ()), (None, ())])
async def test_groups_may_be_a_list_or_one_text(flow: Flow, claim: Any, groups: tuple[str, ...]) -> None:
    flow.provider.person = {"sub": "u-1", "roles": claim}

    assert (await flow.sign_in(flow.connect(groups_claim="roles"))).groups == groups


@pytest.mark.parametrize("claim", [7, {"admins": True}, [["admins"]], ["admins", None]])
async def test_groups_of_another_type_are_refused(flow: Flow, claim: Any) -> None:
    flow.provider.person = {"sub": "u-1", "groups": claim}

    with pytest.raises(SignInRefused, match="claim with your groups has to be a text or a list of texts"):
        await flow.sign_in(flow.connect())


async def test_groups_that_the_id_token_lacks_come_from_userinfo(flow: Flow) -> None:
    flow.provider.userinfo_only = ("groups", "preferred_username")

    assert await flow.sign_in(flow.connect()) == Person("u-1", "ada", ("pollgate-admins",))
    assert flow.provider.requests["/userinfo"] == 1


async def test_groups_in_the_id_token_need_no_userinfo(flow: Flow) -> None:
    flow.provider.userinfo = {"groups": ["others"]}

    assert (await flow.sign_in(flow.connect())).groups == ("pollgate-admins",)
    assert flow.provider.requests["/userinfo"] == 0


async def test_provider_without_userinfo_and_groups_signs_in_without_groups(flow: Flow) -> None:
    flow.provider.userinfo_only = ("groups",)
    flow.provider.metadata = {"userinfo_endpoint": None}

    assert (await flow.sign_in(flow.connect())).groups == ()


async def test_userinfo_about_another_person_is_refused(flow: Flow) -> None:
    flow.provider.userinfo_only = ("groups",)
    flow.provider.userinfo = {"sub": "u-2"}

    with pytest.raises(SignInRefused, match="about another person"):
        await flow.sign_in(flow.connect())


async def test_person_without_mapped_group_has_no_role(flow: Flow) -> None:
    known = read_group_rights('{"pollgate-admins": "admin"}')
    flow.provider.person = {"sub": "u-1", "groups": ["others"]}

    person = await flow.sign_in(flow.connect())

    with pytest.raises(NoRole):
        find_rights(person, known)


async def test_person_in_several_groups_has_the_role_of_the_first_in_the_setting(flow: Flow) -> None:
    known = read_group_rights('{"audit": "auditor", "pollgate-admins": "admin"}')
    flow.provider.person = {"sub": "u-1", "groups": ["pollgate-admins", "audit"]}

    assert find_rights(await flow.sign_in(flow.connect()), known).group == "audit"


async def test_code_of_another_attempt_is_refused(flow: Flow) -> None:
    identity = flow.connect()
    code = (await flow.visit(identity, attempt_of("of a thief")))["code"]

    with pytest.raises(SignInRefused, match="the code was used before, has expired, or belongs to another sign-in"):
        await identity.authenticate(ATTEMPT, code)


async def test_wrong_verifier_alone_is_refused_by_the_provider(flow: Flow) -> None:
    identity = flow.connect()
    code = (await flow.visit(identity))["code"]

    with pytest.raises(SignInRefused, match="the code was used before"):
        await identity.authenticate(ATTEMPT._replace(verifier="v" * 43), code)


async def test_wrong_nonce_alone_is_refused(flow: Flow) -> None:
    identity = flow.connect()
    code = (await flow.visit(identity))["code"]

    with pytest.raises(SignInRefused, match="its nonce is another"):
        await identity.authenticate(ATTEMPT._replace(nonce="n" * 43), code)


async def test_code_that_was_used_is_refused_and_not_repeated(flow: Flow) -> None:
    identity = flow.connect()
    code = (await flow.visit(identity))["code"]
    await identity.authenticate(ATTEMPT, code)

    with pytest.raises(SignInRefused) as refusal:
        await identity.authenticate(ATTEMPT, code)

    assert code not in str(refusal.value)


@pytest.mark.parametrize("code", ["", "a\nb", "é", "\udc80", "x" * 5000])
async def test_impossible_code_is_refused_without_a_request(flow: Flow, code: str) -> None:
    with pytest.raises(SignInRefused, match="no valid code"):
        await flow.connect().authenticate(ATTEMPT, code)

    assert not flow.provider.requests


AT_IMPORT = int(time.time())
IN_A_YEAR = AT_IMPORT + 365 * 86_400
WRONG_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "another"}, "its nonce is another"),
    ({"nonce": None}, "its claim 'nonce' is missing"),
    ({"nonce": 7}, "its nonce is another"),
    ({"nonce": "\udc80"}, "its nonce is another"),
    ({"aud": "another"}, "its audience is another"),
    ({"aud": ["another"]}, "its audience is another"),
    ({"aud": None}, "its claim 'aud' is missing"),
    ({"aud": ["pollgate", "another"]}, "several audiences and no authorized party"),
    ({"aud": ["pollgate", "another"], "azp": "another"}, "its authorized party is another"),
    ({"azp": "another"}, "its authorized party is another"),
    ({"iss": "https://login.example.com"}, "its issuer is another"),
    ({"iss": None}, "its claim 'iss' is missing"),
    ({"exp": AT_IMPORT - 31}, "it has expired"),
    ({"exp": None}, "its claim 'exp' is missing"),
    ({"exp": "soon"}, "it cannot be read"),
    ({"iat": IN_A_YEAR}, "it is not valid yet"),
    ({"iat": None}, "its claim 'iat' is missing"),
    ({"nbf": IN_A_YEAR}, "it is not valid yet"),
    ({"sub": None}, "its claim 'sub' is missing"),
    ({"sub": ""}, "its 'sub' has to be one line"),
    ({"sub": 7}, "it cannot be read"),
    ({"sub": "u\x00"}, "its 'sub' has to be one line"),
    ({"sub": "u" * 256}, "its 'sub' has to be one line"),
]


async def test_id_token_with_wrong_claim_is_refused(flow: Flow, subtests: pytest.Subtests) -> None:
    identity = flow.connect()

    for claims, reason in WRONG_CLAIMS:
        with subtests.test(claims=str(claims)[:40]):
            flow.provider.id_token = claims
            with pytest.raises(SignInRefused, match=r"^the ID token is not valid: ") as refusal:
                await flow.sign_in(identity)
            assert reason in str(refusal.value)


@pytest.mark.parametrize(("claim", "seconds"), [("exp", -5), ("iat", 10)])
async def test_id_token_within_the_leeway_signs_in(flow: Flow, claim: str, seconds: int) -> None:
    flow.provider.id_token = {claim: int(time.time()) + seconds}

    assert (await flow.sign_in(flow.connect())).id == "u-1"


async def test_id_token_with_several_audiences_and_the_authorized_party_signs_in(flow: Flow) -> None:
    flow.provider.id_token = {"aud": ["another", "pollgate"], "azp": "pollgate"}

    assert (await flow.sign_in(flow.connect())).id == "u-1"


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
async def test_id_token_without_real_signature_is_refused(flow: Flow, algorithm: Algorithm) -> None:
    flow.provider.algorithm = algorithm

    with pytest.raises(SignInRefused, match="its algorithm is not accepted"):
        await flow.sign_in(flow.connect())


async def test_algorithm_that_the_provider_does_not_announce_is_refused(flow: Flow) -> None:
    flow.provider.metadata = {"id_token_signing_alg_values_supported": ["RS256"]}

    with pytest.raises(SignInRefused, match="its algorithm is not accepted"):
        await flow.sign_in(flow.connect())


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.", "\udc80"])
async def test_malformed_id_token_is_refused(flow: Flow, token: str) -> None:
    flow.provider.token_response = {"id_token": token}

    with pytest.raises((SignInRefused, ProviderUnavailable)):
        await flow.sign_in(flow.connect())


async def test_id_token_of_a_key_with_the_same_id_is_refused(flow: Flow) -> None:
    identity = flow.connect()
    await flow.sign_in(identity)
    forger = FakeIdentityProvider("pollgate", "")
    forger.issuer = flow.provider.issuer
    flow.provider.replies["/token"] = lambda: web.json_response({"id_token": forger.create_id_token(ATTEMPT.nonce)})

    with pytest.raises(SignInRefused, match="its signature is wrong"):
        await flow.sign_in(identity)


async def test_rotated_key_signs_in_and_the_old_one_is_fetched_once(flow: Flow) -> None:
    identity = flow.connect()
    await flow.sign_in(identity)
    await flow.sign_in(identity)
    assert flow.provider.requests["/keys"] == 1

    flow.now[0] += 10
    flow.provider.rotate_keys()

    assert (await flow.sign_in(identity)).id == "u-1"
    assert flow.provider.requests["/keys"] == 2


async def test_unknown_keys_are_looked_up_once_per_ten_seconds(flow: Flow) -> None:
    identity = flow.connect()
    await flow.sign_in(identity)
    flow.provider.rotate_keys()

    flow.now[0] += 9
    with pytest.raises(SignInRefused, match="its key is not one of the provider"):
        await flow.sign_in(identity)
    assert flow.provider.requests["/keys"] == 1

    flow.now[0] += 1
    assert (await flow.sign_in(identity)).id == "u-1"


async def test_only_key_of_the_provider_needs_no_id(flow: Flow) -> None:
    flow.provider.has_kid = False
    identity = flow.connect()
    await flow.sign_in(identity)

    flow.provider.rotate_keys()
    flow.now[0] += 10

    assert (await flow.sign_in(identity)).id == "u-1"


async def test_metadata_and_keys_are_fetched_again_after_an_hour(flow: Flow) -> None:
    identity = flow.connect()
    for seconds in (0, 3599, 1):
        flow.now[0] += seconds
        await flow.sign_in(identity)

    fetched = [flow.provider.requests[path] for path in ("/.well-known/openid-configuration", "/keys")]
    assert fetched == [2, 2]


async def test_keys_that_cannot_be_used_are_skipped(flow: Flow) -> None:
    documents: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "ES256-0"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": 7, "y": None},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": ["RSA"]},
        {},
    ]
    identity = flow.connect()
    flow.provider.replies["/keys"] = lambda: web.json_response({"keys": documents})

    with pytest.raises(ProviderUnavailable, match="it has no key for any of RS256"):
        await flow.sign_in(identity)

    del flow.provider.replies["/keys"]
    assert (await flow.sign_in(identity)).id == "u-1"


@pytest.mark.parametrize("key", [{"use": "enc"}, {"alg": "ES384"}, {"alg": [""]}, {"crv": "P-384"}, {"kty": "RSA"}])
async def test_key_for_another_use_is_skipped(flow: Flow, key: dict[str, Any]) -> None:
    flow.provider.key = key

    with pytest.raises(ProviderUnavailable, match="it has no key for any of RS256"):
        await flow.sign_in(flow.connect())


async def test_key_for_another_algorithm_is_refused(flow: Flow) -> None:
    flow.provider.algorithm = "PS256"
    flow.provider.key = {"alg": "RS256"}

    with pytest.raises(SignInRefused, match="its key is not one of the provider"):
        await flow.sign_in(flow.connect())


async def test_short_rsa_key_is_skipped(flow: Flow) -> None:
    identity = flow.connect()
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - refused
    document = json.loads(RSAAlgorithm.to_jwk(short.public_key()))
    flow.provider.replies["/keys"] = lambda: web.json_response({"keys": [{**document, "kid": "ES256-0"}]})

    with pytest.raises(ProviderUnavailable, match="it has no key for any of RS256"):
        await flow.sign_in(identity)


async def test_id_token_without_key_id_of_provider_with_two_keys_is_refused(flow: Flow) -> None:
    flow.provider.has_kid = False
    identity = flow.connect()
    flow.provider.algorithm = "PS256"
    await flow.sign_in(identity)

    flow.provider.algorithm = "RS256"
    flow.now[0] += 10
    with pytest.raises(SignInRefused, match="its key is not one of the provider"):
        await flow.sign_in(identity)


async def test_unavailable_provider_is_logged_and_works_again_afterwards(flow: Flow) -> None:
    identity = flow.connect()
    flow.provider.is_available = False

    with structlog.testing.capture_logs() as logged, pytest.raises(ProviderUnavailable):
        await identity.authorization_url(ATTEMPT)

    flow.provider.is_available = True
    assert (await flow.sign_in(identity)).id == "u-1"
    assert logged == [
        {
            "event": "identity provider unavailable",
            "log_level": "warning",
            "host": flow.provider.issuer.removeprefix("http://"),
            "reason": "/.well-known/openid-configuration answered 503",
        }
    ]


async def test_provider_that_becomes_unavailable_logs_neither_code_nor_secret(flow: Flow) -> None:
    identity = flow.connect()
    code = (await flow.visit(identity))["code"]
    flow.provider.is_available = False

    with structlog.testing.capture_logs() as logged, pytest.raises(ProviderUnavailable) as error:
        await identity.authenticate(ATTEMPT, code)

    written = f"{logged} {error.value}"
    assert "the token endpoint answered 503" in written
    assert not [secret for secret in (code, ATTEMPT.verifier, flow.provider.client_secret) if secret in written]


async def test_provider_without_listener_is_unavailable(flow: Flow) -> None:
    issuer = f"http://127.0.0.1:{take_port()}"

    with pytest.raises(ProviderUnavailable, match="does not answer: the connection was refused"):
        await flow.connect(issuer=issuer).authorization_url(ATTEMPT)


@pytest.mark.slow
async def test_provider_that_does_not_respond_is_unavailable_after_five_seconds(flow: Flow) -> None:
    flow.provider.is_silent = True
    started_at = time.monotonic()

    with pytest.raises(ProviderUnavailable, match="does not answer: no answer in time"):
        await flow.connect().authorization_url(ATTEMPT)

    assert 4 < time.monotonic() - started_at < 15


async def test_wrong_client_secret_is_unavailable_with_names_of_settings_in_the_log(flow: Flow) -> None:
    with pytest.raises(ProviderUnavailable, match="refuses OIDC_CLIENT_ID and OIDC_CLIENT_SECRET"):
        await flow.sign_in(flow.connect(client_secret="wrong"))


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"issuer": "https://login.example.com"}, "the issuer in its metadata is not OIDC_ISSUER"),
        ({"issuer": None}, "answered no JSON, or not with the required fields"),
        ({"token_endpoint": None}, "answered no JSON, or not with the required fields"),
        ({"token_endpoint": "http://login.example.com/token"}, "the token_endpoint in its metadata is no https URL"),
        ({"jwks_uri": "file:///keys"}, "the jwks_uri in its metadata is no https URL"),
        ({"userinfo_endpoint": "//x"}, "the userinfo_endpoint in its metadata is no https URL"),
        ({"authorization_endpoint": "javascript:x"}, "the authorization_endpoint in its metadata is no https URL"),
    ],
)
async def test_metadata_that_cannot_be_trusted_are_unavailable(
    flow: Flow, metadata: dict[str, Any], reason: str
) -> None:
    flow.provider.metadata = metadata

    with pytest.raises(ProviderUnavailable, match=reason):
        await flow.connect().authorization_url(ATTEMPT)


async def test_issuer_that_differs_by_a_slash_is_refused(flow: Flow) -> None:
    with pytest.raises(ProviderUnavailable, match="a slash at the end included"):
        await flow.connect(issuer=f"{flow.provider.issuer}/").authorization_url(ATTEMPT)


REPLIES: list[tuple[Callable[[], web.Response], str]] = [
    (lambda: web.Response(status=302, headers={"Location": "/elsewhere"}), "answered 302"),
    (lambda: web.Response(body=b" " * (1024 * 1024 + 1)), "answered more than 1048576 bytes"),
    (lambda: web.Response(text="<html>"), "answered no JSON"),
    (lambda: web.Response(body=b"[" * 100_000), "answered no JSON"),
    (lambda: web.json_response([]), "answered no JSON"),
    (lambda: web.Response(status=500), "answered 500"),
    (lambda: web.Response(status=403), "answered 403"),
]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys", "/userinfo"])
async def test_response_that_is_no_json_object_is_unavailable(flow: Flow, path: str, subtests: pytest.Subtests) -> None:
    flow.provider.userinfo_only = ("groups",)

    for reply, reason in REPLIES:
        with subtests.test(reason=reason):
            flow.provider.replies[path] = reply
            with pytest.raises(ProviderUnavailable, match=reason):
                await flow.sign_in(flow.connect())


@pytest.mark.parametrize("access_token", [None, "", "a\r\nX-Injected: b", "é"])
async def test_impossible_access_token_is_unavailable(flow: Flow, access_token: str | None) -> None:
    flow.provider.userinfo_only = ("groups",)
    flow.provider.token_response = {"access_token": access_token}

    with pytest.raises(ProviderUnavailable, match="no valid access token"):
        await flow.sign_in(flow.connect())


async def test_response_from_another_issuer_is_refused(flow: Flow) -> None:
    identity = flow.connect()

    await identity.require_issuer((await flow.visit(identity))["iss"])
    for iss in ("https://login.example.com", "", None):
        with pytest.raises(SignInRefused, match="came from another identity provider"):
            await identity.require_issuer(iss)


async def test_response_without_issuer_is_accepted_of_a_provider_that_sends_none(flow: Flow) -> None:
    flow.provider.metadata = {"authorization_response_iss_parameter_supported": None}

    await flow.connect().require_issuer(None)
