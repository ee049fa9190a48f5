"""A Content-Encoding matters only for a request with content, and only if it is not `identity`."""

import pytest

from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

IGNORED = ("UTF-8", "", "identity", "gzip")


async def test_content_encoding_without_content_is_ignored(polls: Polls, subtests: pytest.Subtests) -> None:
    for coding in IGNORED:
        for method, status in (("GET", 200), ("HEAD", 200), ("DELETE", 204)):
            with subtests.test(coding=coding, method=method):
                poll_id = (await polls.create_poll())["id"]
                answer = await polls.v1(method, f"/polls/{poll_id}", headers={"Content-Encoding": coding})
                assert answer.status == status, answer.body


async def test_post_without_content_ignores_its_content_encoding(
    authority: Authority, subtests: pytest.Subtests
) -> None:
    for coding in IGNORED:
        with subtests.test(coding=coding):
            token = await authority.issue()
            headers = {**authority.admin, "Content-Encoding": coding}
            answer = await authority("POST", f"/v1/tokens/{token['id']}/rotate", headers=headers)
            assert answer.status == 200, answer.body


async def test_content_with_empty_or_identity_coding_is_read(polls: Polls, subtests: pytest.Subtests) -> None:
    poll_id = (await polls.create_poll())["id"]

    for coding in ("", "identity", "Identity", "identity, identity"):
        with subtests.test(coding=coding):
            answer = await polls.v1("PATCH", f"/polls/{poll_id}", {"title": "A"}, {"Content-Encoding": coding})
            assert answer.status == 200, answer.body


async def test_content_with_another_coding_returns_415_that_names_the_mistake(
    polls: Polls, subtests: pytest.Subtests
) -> None:
    poll_id = (await polls.create_poll())["id"]
    details = {
        "UTF-8": "UTF-8 is a charset, not a content coding; leave Content-Encoding out.",
        "utf8": "UTF8 is a charset, not a content coding; leave Content-Encoding out.",
        "gzip": "Content-Encoding is not supported; send the body unencoded and leave it out.",
        "identity, br": "Content-Encoding is not supported; send the body unencoded and leave it out.",
    }

    for coding, detail in details.items():
        with subtests.test(coding=coding):
            answer = await polls.v1("PATCH", f"/polls/{poll_id}", {"title": "A"}, {"Content-Encoding": coding})
            assert (answer.status, answer.json["detail"]) == (415, detail)
            assert answer.headers["Accept-Encoding"] == "identity"
