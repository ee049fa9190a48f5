"""The secrets that the parts of one stack share, made at random on first use and kept in files.

Every part gets its own folder and so sees its own secrets alone.
"""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from pollgate.sentence import Sentence
from services.polls.operations.feed import POLLS_CHANNEL
from shared.contract.redis_names import CHANGES_CHANNEL, rate_limit_prefix
from shared.contract.token import CLIENT_SECRET, mint
from shared.runtime.redis.rate_limit import RATE_LIMIT_COMMANDS


class StackSecrets(msgspec.Struct, frozen=True):
    """Passwords of PostgreSQL's superuser and the services' roles and Redis users, polls' client secret, what the
    authority encrypts its signing keys with, and what polls hashes participants with.
    """

    postgres_password: str
    token_authority_database_password: str
    polls_database_password: str
    token_authority_redis_password: str
    polls_redis_password: str
    polls_client_secret: str
    key_encryption_key: str
    participant_key: str

    @property
    def service_credentials(self) -> str:
        """What the authority is told of the services that may introspect."""
        return f"polls:{self.polls_client_secret}"


_PASSWORDS: Final = (
    "postgres",
    "token_authority_database",
    "polls_database",
    "token_authority_redis",
    "polls_redis",
)


def load_or_make(file: Path) -> StackSecrets:
    """The secrets in `file`, which is made with mode 0600 where it is missing, and completed where an earlier release
    has made it. Raises `Sentence`.
    """
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=dict[str, str]) if file.exists() else _make_first()
        complete = {**_make_later(), **kept}
        made = msgspec.convert(complete, StackSecrets)
        if complete != kept or not file.exists():
            write_private(file, msgspec.json.encode(complete).decode())
    except OSError as error:
        raise Sentence(f"cannot keep the secrets: {error.strerror}: {file}") from None
    except msgspec.MsgspecError:
        raise Sentence(f"{file} does not hold a stack's secrets; restore it") from None
    return made


def _make_first() -> dict[str, str]:
    passwords = {f"{name}_password": secrets.token_urlsafe(24) for name in _PASSWORDS}
    return {**passwords, "polls_client_secret": mint(CLIENT_SECRET)}


def _make_later() -> dict[str, str]:
    """What the files of the first releases lack."""
    return {name: secrets.token_urlsafe(32) for name in ("key_encryption_key", "participant_key")}


def redis_users(made: StackSecrets) -> str:
    """Redis's ACL file: the authority may publish changes, polls may subscribe, everyone else may ping.

    Both may count against limits, each under keys of its own. Polls may also tell its replicas of polls, by a selector:
    rights that hold on that channel alone, so that nobody but the authority publishes changes.
    """
    return "\n".join(
        (
            "user default on nopass resetchannels -@all +ping",
            _redis_user("token-authority", made.token_authority_redis_password, "authority", "+publish"),
            _redis_user("polls", made.polls_redis_password, "polls", "+subscribe +unsubscribe")
            + f" (&{POLLS_CHANNEL} +publish +subscribe +unsubscribe)",
            "",
        )
    )


def write_secret_files(folder: Path, *, postgres: str, redis: str, database: str) -> list[Path]:
    """A folder of files for each part of the stack, made from secrets that are kept across calls."""
    made = load_or_make(folder / "migrate" / "stack.json")
    admin_url = f"postgresql://postgres:{made.postgres_password}@{postgres}/{database}"
    authority_url = f"postgresql://token_authority:{made.token_authority_database_password}@{postgres}/{database}"
    polls_url = f"postgresql://polls:{made.polls_database_password}@{postgres}/{database}"
    # Another user reads these two, in a volume that nothing else mounts.
    read_by_others = {
        "postgres/password": made.postgres_password,
        "redis/users.acl": redis_users(made),
    }
    private = {
        "migrate/database_admin_url": admin_url,
        "migrate/token_authority_database_url": authority_url,
        "migrate/polls_database_url": polls_url,
        "token-authority/database_url": authority_url,
        "token-authority/redis_url": f"redis://token-authority:{made.token_authority_redis_password}@{redis}",
        "token-authority/service_credentials": made.service_credentials,
        "token-authority/key_encryption_key": made.key_encryption_key,
        "polls/database_url": polls_url,
        "polls/redis_url": f"redis://polls:{made.polls_redis_password}@{redis}",
        "polls/client_secret": made.polls_client_secret,
        "polls/participant_key": made.participant_key,
    }
    for name, text in private.items():
        write_private(folder / name, text)
    for name, text in read_by_others.items():
        write_private(folder / name, text, mode=0o444)
    return [folder / name for name in (*private, *read_by_others)]


def write_private(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write `file` whole or not at all, never readable to others on the way."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    unfinished.chmod(mode)
    unfinished.replace(file)


def _redis_user(name: str, password: str, limits_of: str, rights: str) -> str:
    hashed = hashlib.sha256(password.encode()).hexdigest()
    reach = f"resetchannels &{CHANGES_CHANNEL} resetkeys ~{rate_limit_prefix(limits_of)}:*"
    return f"user {name} on #{hashed} {reach} -@all +@connection {rights} {RATE_LIMIT_COMMANDS}"
