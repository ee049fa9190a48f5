"""The checker of the promise, with histories written by hand."""

from tests.support.history import History, Request, Revocation, Stop, find_late_answers, find_violations_of_promise


def test_accepted_request_sent_after_effective_answer_is_reported() -> None:
    history = History(
        [Request("t", "guard", 0.9, 1.2, "accepted"), Request("t", "guard", 1.1, 1.2, "accepted")],
        [
            Revocation("t", "authority", 0.5, 1.0, effective=True),
            Revocation("t", "authority", 0.6, 1.5, effective=True),
        ],
        [],
        [],
    )

    assert find_violations_of_promise(history) == ["guard accepted t, sent at 1.100000, revoked at 1.000000"]


def test_accepted_request_after_ineffective_answer_is_not_reported() -> None:
    accepted = Request("t", "guard", 1.1, 1.2, "accepted")

    assert (
        find_violations_of_promise(
            History([accepted], [Revocation("t", "authority", 0.5, 1.0, effective=False)], [], [])
        )
        == []
    )


def test_refused_request_before_any_revocation_is_reported() -> None:
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

    assert find_violations_of_promise(history) == ["guard refused t, answered at 0.400000, before any revocation"]


def test_accepted_request_beyond_its_scope_is_reported() -> None:
    beyond = [Request("t", "guard", 0.1, 0.2, "accepted"), Request("t", "guard", 0.3, 0.4, "refused")]

    assert find_violations_of_promise(History([], [], beyond, [])) == [
        "guard accepted t beyond its scope, sent at 0.100000"
    ]


def test_late_answer_is_reported_unless_its_process_was_stopped() -> None:
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

    assert find_late_answers(history, 3.0, 5.0) == [
        "one took 3.100 s for a Request sent at 0.000000",
        "two took 3.200 s for a Request sent at 4.000000",
        "three took 6.000 s for a Revocation sent at 0.000000",
    ]
