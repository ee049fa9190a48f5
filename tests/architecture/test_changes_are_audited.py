"""A transaction of the authority that changes something is an audited one, which only commits with a record."""

import re
from pathlib import Path

AUTHORITY = Path(__file__).parents[2] / "services" / "token_authority"
UNAUDITED = {
    "storage/audit.py": "opens the audited transaction",
    "operations/introspection.py": "counts the use of tokens that do not work",
    "tasks/sync.py": "stores leases and counts",
    "tasks/relay.py": "marks changes as published",
    "tasks/retention.py": "deletes what a retention has passed",
    "storage/expiring_tokens.py": "changes nothing; a transaction has a time limit of its own",
}
"""Modules with other transactions, and what these change."""


def test_only_listed_modules_open_transactions_without_audit_record() -> None:
    opening = {
        str(path.relative_to(AUTHORITY))
        for path in AUTHORITY.rglob("*.py")
        if re.search(r"database\.(contended_)?transaction\(", path.read_text(encoding="utf-8"))
    }

    assert opening == UNAUDITED.keys()
