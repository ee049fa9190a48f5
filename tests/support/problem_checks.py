"""Check what holds for every response, and for every problem document."""

from typing import Final

from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Answer

MAX_PROBLEM_BYTES: Final = 16_000
"""The limit of a problem document."""
MAX_REPEATED_BYTES: Final = 300
"""The limit of consecutive bytes of the request in a response."""


def find_violations(answer: Answer, sent: bytes = b"") -> list[str]:
    """Return everything that is wrong with the response, other than its status. The response must not repeat `sent`."""
    violations = {
        f"it has status {answer.status}": answer.status >= 500,
        "it holds a secret": bool(find_secrets(f"{answer.headers}{answer.body!r}")),
        **(_violations_of_problem(answer, sent) if answer.status >= 400 else {}),
    }
    return [violation for violation, is_so in violations.items() if is_so]


def _violations_of_problem(answer: Answer, sent: bytes) -> dict[str, bool]:
    if answer.headers.get("Content-Type") != "application/problem+json":
        return {"it is not a problem document": True}
    document = answer.json
    return {
        "it has no request id": document.get("request_id") != answer.headers["X-Request-ID"],
        "it does not say what is wrong": document["status"] != answer.status or not document["detail"],
        f"it is {len(answer.body)} bytes long": len(answer.body) > MAX_PROBLEM_BYTES,
        "it repeats what was sent": _repeats(sent, answer.body),
    }


def _repeats(sent: bytes, received: bytes) -> bool:
    half = MAX_REPEATED_BYTES // 2
    return any(sent[start : start + half] in received for start in range(0, len(sent) - MAX_REPEATED_BYTES + 1, half))
