"""The client library: typed, asynchronous clients of the polls API and of the token authority's management API.

```python
from pollgate.client import Location, NewPoll, PollsClient

async def average_of_two_votes(url: str, token: str) -> float | None:
    async with PollsClient(url, token) as client:
        poll = await client.create_poll(NewPoll(Location("PLAT", "PLAT-1"), template="stars"))
        await client.cast_ballot(poll.id, "ada", ["4"])
        await client.cast_ballot(poll.id, "bob", ["5"])
        async for each in client.list_polls(workspace="PLAT", status="open"):
            print(each.id, each.title)
        results = await client.get_results(poll.id)
        await client.delete_poll(poll.id)
        return results.average
```

`docs/python.md` shows more. Errors are in `pollgate.client.errors`.
"""

from pollgate.client.authority import AuthorityClient, Role
from pollgate.client.authority_models import (
    AdminKey,
    AuditHead,
    AuditReport,
    BulkRevocation,
    ChangedToken,
    CreatedAdminKey,
    CreatedService,
    DailyUse,
    Effect,
    Finding,
    FoundToken,
    Guards,
    HeldToken,
    IssuedToken,
    KeptFinding,
    ReviewCompletion,
    Revocation,
    RotatedAdminKey,
    RotatedHeldToken,
    RotatedService,
    RotatedToken,
    Secret,
    Service,
    ServiceDetail,
    SigningKey,
    SignInLink,
    Site,
    Token,
    TokenDetail,
)
from pollgate.client.authority_tokens import RevocationReason, TokenSort, TokenStatus
from pollgate.client.errors import (
    ClientError,
    Conflict,
    ConnectionFailed,
    FieldError,
    Forbidden,
    InvalidArgument,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    RateLimited,
    RequestRejected,
    Unauthorized,
    UnexpectedResponse,
    UnprocessableContent,
)
from pollgate.client.link_models import Invitation, Link, LinkKind, LinkStatus, NewLink
from pollgate.client.poll_models import (
    Ballot,
    BatchOutcome,
    ChangeAfterVotes,
    Comment,
    EditEffect,
    ItemOutcome,
    ItemProblem,
    Location,
    NewPoll,
    Option,
    OptionResult,
    Poll,
    PollClosed,
    PollDeleted,
    PollEvent,
    PollSettings,
    PollStatus,
    PollUpdate,
    Results,
    ResultsUpdate,
    StreamTicket,
    Template,
)
from pollgate.client.polls import PollsClient
from pollgate.client.token_holder import TokenHolderClient
from shared.contract.audit import AuditRecord

__all__ = [
    "AdminKey",
    "AuditHead",
    "AuditRecord",
    "AuditReport",
    "AuthorityClient",
    "Ballot",
    "BatchOutcome",
    "BulkRevocation",
    "ChangeAfterVotes",
    "ChangedToken",
    "ClientError",
    "Comment",
    "Conflict",
    "ConnectionFailed",
    "CreatedAdminKey",
    "CreatedService",
    "DailyUse",
    "EditEffect",
    "Effect",
    "FieldError",
    "Finding",
    "Forbidden",
    "FoundToken",
    "Guards",
    "HeldToken",
    "InvalidArgument",
    "Invitation",
    "IssuedToken",
    "ItemOutcome",
    "ItemProblem",
    "KeptFinding",
    "Link",
    "LinkKind",
    "LinkStatus",
    "Location",
    "NewLink",
    "NewPoll",
    "NotFound",
    "Option",
    "OptionResult",
    "OutcomeUnknown",
    "Poll",
    "PollClosed",
    "PollDeleted",
    "PollEvent",
    "PollSettings",
    "PollStatus",
    "PollUpdate",
    "PollsClient",
    "PreconditionFailed",
    "RateLimited",
    "RequestRejected",
    "Results",
    "ResultsUpdate",
    "ReviewCompletion",
    "Revocation",
    "RevocationReason",
    "Role",
    "RotatedAdminKey",
    "RotatedHeldToken",
    "RotatedService",
    "RotatedToken",
    "Secret",
    "Service",
    "ServiceDetail",
    "SignInLink",
    "SigningKey",
    "Site",
    "StreamTicket",
    "Template",
    "Token",
    "TokenDetail",
    "TokenHolderClient",
    "TokenSort",
    "TokenStatus",
    "Unauthorized",
    "UnexpectedResponse",
    "UnprocessableContent",
]
