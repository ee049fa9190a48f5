"""The secrets of one stack: generated on first use and stored in files.

Each part of the stack has its own folder, and can read only its own secrets.
"""

import hashlib
import secrets
from pathlib import Path
from typing import Final

import msgspec

from pollgate.stack.errors import StackError
from services.polls.operations.address_limits import VOTERS_PREFIX
from services.polls.tasks.poll_feed import POLLS_CHANNEL
from shared.contract.redis_names import CHANGES_CHANNEL, rate_limit_prefix, ticket_prefix
from shared.contract.token import ADMIN_KEY, CLIENT_SECRET, is_well_formed, mint
from shared.runtime.process.private_file import can_others_read, read_secret_file, write_secret_file
from shared.runtime.redis.limited_sets import LIMITED_SET_COMMANDS
from shared.runtime.redis.rate_limit import RATE_LIMIT_COMMANDS


class StackSecrets(msgspec.Struct, frozen=True):
    """The passwords of PostgreSQL's and Redis's users, the client secret of polls, the key that encrypts the
    authority's signing keys, and the key with which polls hashes participants.
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
        """The authority's setting SERVICE_CREDENTIALS."""
        return f"polls:{self.polls_client_secret}"


_PASSWORDS: Final = (
    "postgres",
    "token_authority_database",
    "polls_database",
    "token_authority_redis",
    "polls_redis",
)


def load_or_create(file: Path) -> StackSecrets:
    """Return the secrets in `file`. Raise `StackError`.

    A missing file is created with mode 0600; a file of an earlier release is completed. A file that other users can
    read or change is refused.
    """
    try:
        kept = _read(file) if file.exists() else _create_original()
        complete = {**_create_added(), **kept}
        stack_secrets = msgspec.convert(complete, StackSecrets)
        if complete != kept or not file.exists():
            write_secret_file(file, msgspec.json.encode(complete).decode())
    except OSError as error:
        raise StackError(f"cannot read or store the secrets: {error.strerror}: {file}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise StackError(f"{file} does not contain the secrets of a stack; restore it") from None
    return stack_secrets


def _read(file: Path) -> dict[str, str]:
    if can_others_read(file):
        raise StackError(f"other users can read {file}, which contains secrets; run chmod 600 on it")
    return msgspec.json.decode(read_secret_file(file), type=dict[str, str])


def _create_original() -> dict[str, str]:
    passwords = {f"{name}_password": secrets.token_urlsafe(24) for name in _PASSWORDS}
    return {**passwords, "polls_client_secret": mint(CLIENT_SECRET)}


def _create_added() -> dict[str, str]:
    """Return the secrets that files of the first releases do not have."""
    return {name: secrets.token_urlsafe(32) for name in ("key_encryption_key", "participant_key")}


def redis_users(stack_secrets: StackSecrets) -> str:
    """Return Redis's ACL file: the authority may publish changes, polls may subscribe to them, the default user may
    ping.

    Both services may count requests for rate limits, each under its own keys. By selectors, polls may also publish on
    the channel of its replicas, store and take stream tickets, and keep the voters of shared links. Only the authority
    can publish changes.
    """
    return "\n".join(
        (
            "user default on nopass resetchannels -@all +ping",
            _redis_user("token-authority", stack_secrets.token_authority_redis_password, "authority", "+publish"),
            _redis_user("polls", stack_secrets.polls_redis_password, "polls", "+subscribe +unsubscribe")
            + f" (&{POLLS_CHANNEL} +publish +subscribe +unsubscribe) (~{ticket_prefix('polls')}:* +set +getdel)"
            + f" (~{VOTERS_PREFIX}:* {LIMITED_SET_COMMANDS})",
            "",
        )
    )


def has_secrets(folder: Path) -> bool:
    """Return whether `write_secret_files` has created the secrets of this folder before."""
    return _secrets_file(folder).exists()


def write_secret_files(
    folder: Path, *, postgres: str, redis: str, database: str, with_admin_key: bool = False
) -> list[Path]:
    """Write a folder of files for each part of the stack, and return the files. The secrets stay the same.

    `with_admin_key` creates the first admin key too, for a token authority whose replicas share no file. Raise
    `StackError`.
    """
    stack_secrets = load_or_create(_secrets_file(folder))
    admin_url = f"postgresql://postgres:{stack_secrets.postgres_password}@{postgres}/{database}"
    authority_url = (
        f"postgresql://token_authority:{stack_secrets.token_authority_database_password}@{postgres}/{database}"
    )
    polls_url = f"postgresql://polls:{stack_secrets.polls_database_password}@{postgres}/{database}"
    # Other users read these two, in volumes that no other container mounts.
    read_by_others = {
        "postgres/password": stack_secrets.postgres_password,
        "redis/users.acl": redis_users(stack_secrets),
    }
    private = {
        "migrate/database_admin_url": admin_url,
        "migrate/token_authority_database_url": authority_url,
        "migrate/polls_database_url": polls_url,
        "token-authority/database_url": authority_url,
        "token-authority/redis_url": f"redis://token-authority:{stack_secrets.token_authority_redis_password}@{redis}",
        "token-authority/service_credentials": stack_secrets.service_credentials,
        "token-authority/key_encryption_key": stack_secrets.key_encryption_key,
        "polls/database_url": polls_url,
        "polls/redis_url": f"redis://polls:{stack_secrets.polls_redis_password}@{redis}",
        "polls/client_secret": stack_secrets.polls_client_secret,
        "polls/participant_key": stack_secrets.participant_key,
    }
    if with_admin_key:
        private["token-authority/admin_key"] = _read_or_mint_admin_key(folder / "token-authority" / "admin_key")
    for name, text in private.items():
        write_secret_file(folder / name, text)
    for name, text in read_by_others.items():
        write_secret_file(folder / name, text, mode=0o444)
    return [folder / name for name in (*private, *read_by_others)]


def _secrets_file(folder: Path) -> Path:
    return folder / "migrate" / "stack.json"


def _read_or_mint_admin_key(file: Path) -> str:
    try:
        text = read_secret_file(file).strip() if file.exists() else mint(ADMIN_KEY)
    except OSError as error:
        raise StackError(f"cannot read the admin key: {error.strerror}: {file}") from None
    if not is_well_formed(text, ADMIN_KEY):
        raise StackError(f"{file} does not hold an admin key; remove the file to have one created")
    return text


def _redis_user(name: str, password: str, limits_of: str, rights: str) -> str:
    hashed = hashlib.sha256(password.encode()).hexdigest()
    reach = f"resetchannels &{CHANGES_CHANNEL} resetkeys ~{rate_limit_prefix(limits_of)}:*"
    return f"user {name} on #{hashed} {reach} -@all +@connection {rights} {RATE_LIMIT_COMMANDS}"
