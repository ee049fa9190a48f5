"""Send requests that an OpenAPI document allows or forbids, and compare every response with the document.

Schemathesis generates the cases: first boundary values of each operation's parameters and bodies, then random ones, of
which half break a rule. It blocks, so run `fuzz` in a thread, not in the event loop of the service.
"""

import copy
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, CheckContext, Config, GenerationMode, Response
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok

from tests.support.secrets_in_output import find_secrets

IS_LONG: Final = "FUZZ_CASES" in os.environ
"""Whether `make fuzz` runs."""
CASES: Final = int(os.environ.get("FUZZ_CASES", "2000"))
"""The minimum number of cases per service."""
SEED: Final = int(os.environ.get("FUZZ_SEED") or (secrets.randbelow(10**9) if IS_LONG else 1))
"""The seed of the random cases. It is fixed unless `make fuzz` runs, so that the tests are reproducible."""
ROUND: Final = 25
"""The number of random cases of one mode per operation and round."""
CHECKED: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)

_REFUSALS: Final = (400, 404, 405, 409, 412, 413, 415, 422)

AnyCase = Case[Any]
AnyOperation = APIOperation[Any, Any, Any, Any]
Prepare = Callable[[AnyCase], None]


@dataclass(frozen=True)
class Target:
    """A running service, its OpenAPI document, and how to test it.

    `credentials` maps security schemes to the value of the `Authorization` header or of the query parameter; an
    operation with several schemes uses them in turn. `known` maps path parameters to values that exist, which half of
    the cases use. `prepare` maps operation ids to functions that change a case before it is sent. Operations in
    `left_out` are not sent. Only responses of operations in `makes_secrets` may contain a secret. Operations in
    `refuses_in_part` may return 200 for an invalid request, with an error for each invalid part; those in
    `authenticates_in_body` may return 401, because the body may have a wrong credential.
    """

    base: str
    document: Mapping[str, Any]
    credentials: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)
    prepare: Mapping[str, Prepare] = field(default_factory=dict)
    left_out: Collection[str] = ()
    makes_secrets: Collection[str] = ()
    refuses_in_part: Collection[str] = ()
    authenticates_in_body: Collection[str] = ()


class Outcome:
    """The number of responses by operation and status."""

    def __init__(self) -> None:
        self.statuses: dict[str, Counter[int]] = {}

    @property
    def cases(self) -> int:
        return sum(counter.total() for counter in self.statuses.values())

    def list_accepted_operations(self) -> set[str]:
        """Return the operations that returned a success at least once."""
        return {name for name, counter in self.statuses.items() if any(status < 300 for status in counter)}


def fuzz(target: Target, *, cases: int, seed: int, progress: bool = False) -> Outcome:
    """Send at least `cases` cases, including random ones for every operation.

    Raise `AssertionError` with every failure and the seed that repeats it.
    """
    run = _Run(target)
    started = time.monotonic()
    for operation in run.operations:
        run.run_step(operation, partial(run.send_edges, operation))
    rounds = 0
    while (rounds == 0 or run.outcome.cases < cases) and any(map(_has_input, run.operations)):
        before = run.outcome.cases
        for operation in filter(_has_input, list(run.operations)):
            for mode in GenerationMode:
                run.run_step(operation, _Random(run, operation, mode, seed + rounds))
        rounds += 1
        if progress:
            print(f"{run.outcome.cases} cases in {time.monotonic() - started:.0f} s, seed {seed}", flush=True)
        if run.outcome.cases == before:
            break
    assert not run.failures, f"seed {seed}:\n\n" + "\n\n".join(run.failures)
    return run.outcome


class _Run:
    def __init__(self, target: Target) -> None:
        load_all_checks()
        self._target = target
        self._session = requests.Session()
        self._session.trust_env = False
        self._checks: list[Any] = [CHECKS.get_one(name) for name in CHECKED] + [self._require_no_secret]
        self._schema = schemathesis.openapi.from_dict(
            _remove_default_responses(target.document), config=Config.from_dict(_config(target))
        )
        self._schema.validate()
        self.outcome = Outcome()
        self.failures: list[str] = []
        self.operations = [
            found.ok()
            for found in self._schema.get_all_operations()
            if isinstance(found, Ok) and _name(found.ok()) not in target.left_out
        ]

    def run_step(self, operation: AnyOperation, send: Callable[[], None]) -> None:
        """Call `send`. Record a failure, and exclude the operation from then on."""
        try:
            send()
        except Unsatisfiable:  # nothing breaks a rule of an operation that has none
            return
        except (FailureGroup, AssertionError, requests.RequestException) as error:
            self.failures.append(f"{_name(operation)}: {error}")
            self.operations = [other for other in self.operations if other is not operation]

    def send_edges(self, operation: AnyOperation) -> None:
        """Send the boundary values, missing fields and other methods of an operation."""
        modes = list(GenerationMode)
        generation = self._schema.config.generation
        cases: Iterator[AnyCase] = self._schema.iter_coverage_cases(
            operation, generation_modes=modes, generation_config=generation
        )
        for number, case in enumerate(cases):
            if number == 0 and self._credential(operation):
                status = self._send_without_credential(case)
                assert status == _refusal_status(operation), f"{status} without a credential"
            self.send(case, known=number // 2 if number % 2 else None)

    def _send_without_credential(self, case: AnyCase) -> int:
        """Send a case without a credential in its header or form. Return the status."""
        body = case.body
        if isinstance(body, dict):
            case.body = {name: value for name, value in body.items() if not name.startswith("client_")}
        status: int = case.call(self._target.base, self._session, timeout=15).status_code
        case.body = body
        return status

    def send(self, case: AnyCase, known: int | None) -> None:
        """Send one case. If `known` is a number, use that one of the known values of each path parameter."""
        name = _name(case.operation)
        if known is not None and not (case.meta and case.meta.is_negative_at(ParameterLocation.PATH)):
            for parameter in case.path_parameters:
                values = self._target.known.get(parameter, ())
                if values:
                    case.path_parameters[parameter] = values[known % len(values)]
        if name in self._target.prepare:
            self._target.prepare[name](case)
        credential = self._credential(case.operation)
        response = case.call(self._target.base, self._session, **credential, timeout=15)
        self.outcome.statuses.setdefault(name, Counter())[response.status_code] += 1
        case.validate_response(response, self._checks, headers=credential.get("headers"))

    def _credential(self, operation: AnyOperation) -> dict[str, dict[str, str]]:
        """Return the headers or the query with the credential of one scheme."""
        names = [scheme for needed in operation.definition.raw["security"] for scheme in needed]
        known = [name for name in names if name in self._target.credentials]
        if not known:
            return {}
        name = known[self.outcome.cases % len(known)]
        scheme = self._target.document["components"]["securitySchemes"][name]
        value = self._target.credentials[name]
        return (
            {"params": {scheme["name"]: value}}
            if scheme.get("in") == "query"
            else {"headers": {"Authorization": value}}
        )

    def _require_no_secret(self, _ctx: CheckContext, response: Response, case: AnyCase) -> None:
        if response.status_code < 300 and _name(case.operation) in self._target.makes_secrets:
            return
        assert not find_secrets(f"{response.headers}{response.text}"), "the answer holds a secret"


class _Random:
    """Random cases of one operation, either all valid or all invalid."""

    def __init__(self, run: _Run, operation: AnyOperation, mode: GenerationMode, seed: int) -> None:
        self._run = run
        self._strategy = operation.as_strategy(generation_mode=mode)
        self._seed = seed

    def __call__(self) -> None:
        known = st.none() | st.integers(0, 99)

        @hypothesis.seed(self._seed)
        @hypothesis.settings(
            max_examples=ROUND,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=self._strategy, known=known)
        def send(case: AnyCase, known: int | None) -> None:
            self._run.send(case, known)

        send()


def _name(operation: AnyOperation) -> str:
    return str(operation.definition.raw["operationId"])


def _config(target: Target) -> dict[str, Any]:
    def refusals(*statuses: int) -> dict[str, Any]:
        return {"negative_data_rejection": {"expected-statuses": list(statuses)}}

    further = {**dict.fromkeys(target.refuses_in_part, 200), **dict.fromkeys(target.authenticates_in_body, 401)}
    operations = [
        {"include-operation-id": name, "checks": refusals(status, *_REFUSALS)} for name, status in further.items()
    ]
    generation = {"with-security-parameters": False}
    return {"generation": generation, "checks": refusals(*_REFUSALS), "operations": operations}


def _refusal_status(operation: AnyOperation) -> int:
    """Return the status of a request without a credential; the contract has no 401."""
    return 401 if "401" in operation.definition.raw["responses"] else 403


def _has_input(operation: AnyOperation) -> bool:
    return bool(operation.definition.raw.keys() & {"parameters", "requestBody"})


def _remove_default_responses(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without `default` responses, so that undocumented statuses are reported."""
    strict: dict[str, Any] = copy.deepcopy(dict(document))
    for path in strict["paths"].values():
        for operation in path.values():
            operation["responses"].pop("default", None)
    return strict
