"""The polls service's schema in PostgreSQL, for `pollgate migrate` and for the check at start."""

from pathlib import Path
from typing import Final

from shared.runtime.postgres.migrations import Schema

SCHEMA: Final = Schema(name="polls", migrations=Path(__file__).parent / "migrations")
