"""Create voting links, and show their addresses once."""

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from services.polls.app_keys import FORM, SETTINGS, VOTING_LINKS
from services.polls.domain.errors import (
    InvalidLink,
    KeyInUse,
    KeyReused,
    LinksCreatedBefore,
    TooManyLinks,
    TooManyStoredResponses,
)
from services.polls.domain.link import DEFAULT_MAX_PER_ADDRESS, MAX_LINKS_PER_BATCH
from services.polls.domain.state import PollState
from services.polls.handlers.actor import actor_of
from services.polls.handlers.links import created_payload, csv_of_links, links_table
from services.polls.operations.links import CreatedLink
from services.polls.pages.form_keys import form_key_of, new_form_key
from services.polls.pages.link_forms import (
    InvalidLinkForm,
    PersonalForm,
    SharedForm,
    errors_of,
    read_personal_form,
    read_shared_form,
)
from services.polls.pages.manage_links import image_address, link_page, load_voting_poll
from services.polls.pages.paths import poll_path
from shared.guard import caller
from shared.runtime.pages.notices import lead_to

_REFUSALS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    TooManyLinks: (409, ""),  # the error says how many
    TooManyStoredResponses: (
        429,
        "This token has created as much within a day as it may. Send the form again in ten minutes.",
    ),
    KeyReused: (
        409,
        "The same form has created links before, with other fields. Send it again to create others.",
    ),
    KeyInUse: (409, "This form is being carried out at the moment. Look at the voting links before you repeat it."),
}


async def show_shared_form(request: web.Request) -> web.Response:
    """Return the form of a new shared link."""
    return _shared_page(request, await load_voting_poll(request), SharedForm(), new_form_key())


async def create_shared(request: web.Request) -> web.Response:
    """Create the shared link of a form, and return the page with its address; or the form with its errors."""
    state, form = await load_voting_poll(request), read_shared_form(request[FORM])
    key = form_key_of(request, form)
    try:
        sharing, expires_at = form.to_valid(state.at)
        created = await request.app[VOTING_LINKS].share(
            caller(request), state.poll.id, sharing, expires_at, actor_of(request), key
        )
    except LinksCreatedBefore:
        return lead_to(poll_path(state.poll.id, "links"), "sent_before")
    except InvalidLinkForm as error:
        return _shared_page(request, state, form, key.key, error.errors)
    except InvalidLink as invalid:
        return _shared_page(request, state, form, key.key, errors_of(invalid))
    except tuple(_REFUSALS) as refusal:
        status, text = _REFUSALS[type(refusal)]
        text = text or str(refusal)
        next_key = new_form_key() if isinstance(refusal, KeyReused) else key.key
        return _shared_page(request, state, form, next_key, {"form": text}, status=status)
    return _shown_once(request, state, [created])


async def show_personal_form(request: web.Request) -> web.Response:
    """Return the form of new personal links."""
    return _personal_page(request, await load_voting_poll(request), PersonalForm(), new_form_key())


async def create_personal(request: web.Request) -> web.Response:
    """Create the personal links of a form, and return their addresses as a page or as CSV; or the form with errors."""
    state, form = await load_voting_poll(request), read_personal_form(request[FORM])
    key = form_key_of(request, form)
    try:
        invitations, expires_at = form.to_valid(state.at)
        created = await request.app[VOTING_LINKS].invite(caller(request), state.poll.id, invitations, expires_at, key)
    except LinksCreatedBefore:
        return lead_to(poll_path(state.poll.id, "links"), "sent_before")
    except InvalidLinkForm as error:
        return _personal_page(request, state, form, key.key, error.errors, error.lines)
    except InvalidLink as invalid:
        return _personal_page(request, state, form, key.key, errors_of(invalid))
    except tuple(_REFUSALS) as refusal:
        status, text = _REFUSALS[type(refusal)]
        text = text or str(refusal)
        next_key = new_form_key() if isinstance(refusal, KeyReused) else key.key
        return _personal_page(request, state, form, next_key, {"form": text}, status=status)
    if request[FORM].has("csv"):
        return csv_of_links(request, state.poll.id, created, with_bom=form.has_bom)
    return _shown_once(request, state, created)


def _shown_once(request: web.Request, state: PollState, created: Sequence[CreatedLink]) -> web.Response:
    """Return the page that shows the addresses of new links, which no other page does."""

    def table(marks: Sequence[str]) -> str:
        """Return the links as CSV, with a mark in place of each secret."""
        marked = [each._replace(secret=mark) for each, mark in zip(created, marks, strict=True)]
        return links_table([created_payload(request, each) for each in marked], with_bom=False).decode()

    first = created[0].link
    return link_page(
        request,
        state,
        "manage_links_created.html",
        status=201,
        secrets=[each.secret for each in created],
        title="Voting link created" if len(created) == 1 else f"{len(created):,} voting links created",
        created=created,
        link=first,
        start=f"{request.app[SETTINGS].base_url}/p/",
        image=image_address(request, state, first),
        table=table,
    )


def _shared_page(
    request: web.Request,
    state: PollState,
    form: SharedForm,
    form_key: str,
    errors: Mapping[str, str] = {},
    *,
    status: int = 422,
) -> web.Response:
    return link_page(
        request,
        state,
        "manage_links_shared.html",
        status=status if errors else 200,
        form=form,
        form_key=form_key,
        errors=errors,
        default_per_address=DEFAULT_MAX_PER_ADDRESS,
    )


def _personal_page(
    request: web.Request,
    state: PollState,
    form: PersonalForm,
    form_key: str,
    errors: Mapping[str, str] = {},
    lines: Sequence[str] = (),
    *,
    status: int = 422,
) -> web.Response:
    return link_page(
        request,
        state,
        "manage_links_personal.html",
        status=status if errors else 200,
        form=form,
        form_key=form_key,
        errors=errors,
        lines=lines,
        most=MAX_LINKS_PER_BATCH,
    )
