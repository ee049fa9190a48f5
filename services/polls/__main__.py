"""`python -m services.polls`: serve until SIGTERM."""

from services.polls.app import build_app
from services.polls.settings import PollsSettings
from shared.contract.token import SECRET_START
from shared.guard import REDACTED_PATTERN
from shared.runtime.process.redaction import redactor
from shared.runtime.process.serve import run_service

if __name__ == "__main__":
    run_service("polls", PollsSettings, build_app, redactor(REDACTED_PATTERN, SECRET_START))
