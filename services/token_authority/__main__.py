"""`python -m services.token_authority`: serve until SIGTERM."""

from services.token_authority.app import build_app
from services.token_authority.settings import TokenAuthoritySettings
from shared.contract.token import SECRET_PATTERN, SECRET_START
from shared.runtime.process.redaction import redactor
from shared.runtime.process.serve import run_service

if __name__ == "__main__":
    run_service("token-authority", TokenAuthoritySettings, build_app, redactor(SECRET_PATTERN, SECRET_START))
