"""What must hold of every problem that is told, whatever was sent."""

from typing import Final

from tests.support.secrets_in_output import secrets_in
from tests.support.stack import Answer

MOST_TOLD: Final = 16_000
"""Bytes of one problem."""
MOST_REPEATED: Final = 300
"""Bytes in a row of what was sent."""


def flaws_of(answer: Answer, sent: bytes = b"") -> list[str]:
    """What is wrong with the answer, apart from its status: nothing, one hopes."""
    violations = {
        f"it is a {answer.status}": answer.status >= 500,
        "it holds a secret": bool(secrets_in(f"{answer.headers}{answer.body!r}")),
        **(_flaws_of_problem(answer, sent) if answer.status >= 400 else {}),
    }
    return [violation for violation, is_so in violations.items() if is_so]


def _flaws_of_problem(answer: Answer, sent: bytes) -> dict[str, bool]:
    if answer.headers.get("Content-Type") != "application/problem+json":
        return {"it is no problem document": True}
    document = answer.json
    return {
        "it has no request id": document.get("request_id") != answer.headers["X-Request-ID"],
        "it does not say what is wrong": document["status"] != answer.status or not document["detail"],
        f"it is {len(answer.body)} bytes long": len(answer.body) > MOST_TOLD,
        "it repeats what was sent": _repeats(sent, answer.body),
    }


def _repeats(sent: bytes, told: bytes) -> bool:
    half = MOST_REPEATED // 2
    return any(sent[start : start + half] in told for start in range(0, len(sent) - MOST_REPEATED + 1, half))
