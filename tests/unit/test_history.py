"""The checker of the promise, on histories made by hand."""

from tests.support.history import History, Request, Revocation, Stop, findings, late


def test_a_request_sent_after_the_answer_and_accepted_is_found() -> None:
    history = History(
        [Request("t", "guard", 0.9, 1.2, "accepted"), Request("t", "guard", 1.1, 1.2, "accepted")],
        [
            Revocation("t", "authority", 0.5, 1.0, effective=True),
            Revocation("t", "authority", 0.6, 1.5, effective=True),
        ],
        [],
        [],
    )

    assert findings(history) == ["guard accepted t, sent at 1.100000, revoked at 1.000000"]


def test_a_revocation_that_is_not_said_to_be_in_force_binds_nobody() -> None:
    accepted = Request("t", "guard", 1.1, 1.2, "accepted")

    assert findings(History([accepted], [Revocation("t", "authority", 0.5, 1.0, effective=False)], [], [])) == []


def test_a_refusal_before_anyone_began_to_revoke_is_found() -> None:
    history = History(
        [
            Request("t", "guard", 0.1, 0.4, "refused"),
            Request("t", "guard", 0.1, 0.6, "refused"),
            Request("u", "guard", 0.1, 0.4, "unknown"),
        ],
        [Revocation("t", "authority", 0.5, 1.0, effective=False)],
        [],
        [],
    )

    assert findings(history) == ["guard refused t, answered at 0.400000, which nobody had begun to revoke"]


def test_what_is_accepted_beyond_the_scope_is_found() -> None:
    beyond = [Request("t", "guard", 0.1, 0.2, "accepted"), Request("t", "guard", 0.3, 0.4, "refused")]

    assert findings(History([], [], beyond, [])) == ["guard accepted t beyond its scope, sent at 0.100000"]


def test_a_late_answer_is_found_unless_its_own_process_did_not_run() -> None:
    history = History(
        [
            Request("t", "one", 0.0, 3.1, "accepted"),
            Request("t", "two", 0.0, 3.1, "unknown"),
            Request("t", "two", 4.0, 7.2, "unknown"),
        ],
        [Revocation("t", "three", 0.0, 6.0, effective=True), Revocation("t", "two", 0.0, 6.0, effective=True)],
        [],
        [Stop("two", 1.0, 2.0)],
    )

    assert late(history, 3.0, 5.0) == [
        "one took 3.100 s for a Request sent at 0.000000",
        "two took 3.200 s for a Request sent at 4.000000",
        "three took 6.000 s for a Revocation sent at 0.000000",
    ]
