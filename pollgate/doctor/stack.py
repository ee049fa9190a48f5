"""Examine a running stack: every part that the environment names, all at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from pollgate.doctor.authority_database import AuditHead, examine_stored
from pollgate.doctor.disk import examine_disks
from pollgate.doctor.finding import Examination, Finding
from pollgate.doctor.metrics import examine_authority_metrics, examine_polls_metrics
from pollgate.doctor.postgres import examine_migrations, examine_server, open_database
from pollgate.doctor.redis import AUTHORITY_COMMANDS, POLLS_CHANNELS, POLLS_COMMANDS, examine_redis
from pollgate.doctor.services import Service, examine_service
from services.polls.storage.schema import SCHEMA as POLLS
from services.token_authority.storage.schema import SCHEMA as TOKEN_AUTHORITY
from shared.runtime.postgres.database import Database, DatabaseUnavailable
from shared.runtime.process.environment import SettingsError, read_settings


class DoctorSettings(Struct, frozen=True):
    """The environment variables that say where the parts of the stack are. Without one, its part is not checked."""

    token_authority_url: Annotated[str, Meta(description="URL of the token authority")] = ""
    token_authority_port: int = 8081
    polls_replicas_url: Annotated[
        str, Meta(description="URL of polls past any proxy; each address of its host is checked")
    ] = ""
    polls_api_url: str = ""
    polls_port: int = 8080
    token_authority_database_url: str = ""
    journal_file: str = ""
    polls_database_url: str = ""
    redis_url: str = ""

    @property
    def services(self) -> tuple[Service, Service]:
        """The token authority and polls, as they can be reached from here."""
        authority = self.token_authority_url or f"http://127.0.0.1:{self.token_authority_port}"
        polls = self.polls_replicas_url or self.polls_api_url or f"http://127.0.0.1:{self.polls_port}"
        return (
            Service("token authority", authority, "TOKEN_AUTHORITY_URL"),
            Service("polls", polls, "POLLS_REPLICAS_URL"),
        )


Examine = Callable[[Examination, Database], Awaitable[None]]

_NO_URL: Final = "{} is not set"
_SET_URL: Final = "run this where the service runs, with its environment, or set {}"


async def examine_stack(
    environ: Mapping[str, str], folders: Mapping[str, Path], backed_up: AuditHead | None
) -> list[Finding]:
    """Return every finding, in a fixed order of parts. Raise `SettingsError` if a variable is wrong.

    `folders` are those whose disks are checked, by what they are for.
    """
    settings = read_settings(DoctorSettings, environ)
    authority, polls = settings.services

    async def examine_authority(examination: Examination, database: Database) -> None:
        await examine_server(examination, database)
        await examine_migrations(examination, database, TOKEN_AUTHORITY)
        await examine_stored(examination, database, backed_up)

    async def examine_polls(examination: Examination, database: Database) -> None:
        await examine_server(examination, database)
        await examine_migrations(examination, database, POLLS)

    groups = await asyncio.gather(
        examine_service(authority, examine_authority_metrics),
        examine_service(polls, examine_polls_metrics),
        _examine_database(
            "PostgreSQL of the token authority",
            "TOKEN_AUTHORITY_DATABASE_URL",
            settings.token_authority_database_url,
            examine_authority,
        ),
        _examine_database("PostgreSQL of polls", "POLLS_DATABASE_URL", settings.polls_database_url, examine_polls),
        _examine_redis(settings),
    )
    journal = {"journal": Path(settings.journal_file).parent} if settings.journal_file else {}
    return [finding for group in groups for finding in group] + examine_disks({**folders, **journal})


async def _examine_redis(settings: DoctorSettings) -> list[Finding]:
    """Examine Redis with the user of the service whose environment this is."""
    if settings.polls_database_url and not settings.token_authority_database_url:
        return await examine_redis("Redis of polls", settings.redis_url, POLLS_COMMANDS, POLLS_CHANNELS)
    return await examine_redis("Redis of the token authority", settings.redis_url, AUTHORITY_COMMANDS, ())


async def _examine_database(part: str, variable: str, url: str, examine: Examine) -> list[Finding]:
    examination = Examination(part)
    if not url:
        examination.skip("database", _NO_URL.format(variable), _SET_URL.format(variable))
        return examination.findings
    try:
        async with open_database(url) as database:
            await examine(examination, database)
    except DatabaseUnavailable as error:
        examination.fail("database", str(error), f"start PostgreSQL, or correct {variable}")
    except SettingsError as error:
        examination.fail("database", str(error), f"correct {variable}")
    return examination.findings
