"""Name the actors and subjects of the audit log, each with a link to its page."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.pages import paths
from services.token_authority.pages.paths import administrator_path, service_path, token_path

Names = Mapping[str, str]
"""Names of admin keys by id."""


class Reference(NamedTuple):
    """An actor or a subject: its kind in words, its name, and the path of its page, empty if it has none."""

    kind: str
    name: str
    path: str = ""


def names_of(keys: Iterable[AdminKey]) -> Names:
    """Return the names of admin keys by id."""
    return {key.id: key.name for key in keys}


def reference_to(text: str, names: Names) -> Reference:
    """Return the reference to an actor or a subject such as `token:tok_…`."""
    kind, _, about = text.partition(":")
    match kind:
        case "admin_key" if about:
            return Reference("admin key", names.get(about, about), administrator_path(about))
        case "service" if about:
            return Reference("service", about, service_path(about))
        case "token" if about:
            return Reference("token", about, token_path(about))
        case "holder" if about:
            return Reference("holder of", about, token_path(about))
        case "site":
            return Reference("site", about, paths.SITES)
    return Reference(kind.replace("_", " "), about)
