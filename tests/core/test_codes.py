"""authx.core.codes: every row of the state machine of the code."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from authx.core.codes import LIFETIME, CodeDecision, CodeSnapshot, PresentedCode, judge_code
from authx.core.pkce import challenge_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
GRACE = timedelta(seconds=10)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
ISSUED = CodeSnapshot(
    client_id="app-1",
    redirect_uri="https://app.example/callback",
    challenge=challenge_of(VERIFIER),
    expires_at=NOW + LIFETIME,
    redeemed_at=None,
    login_live=True,
    user_active=True,
    client_enabled=True,
)
REDEEMED = replace(ISSUED, redeemed_at=NOW)
GOOD = PresentedCode(client_id="app-1", redirect_uri="https://app.example/callback", verifier=VERIFIER)
WRONG = [
    ({"redirect_uri": None}, "invalid_request"),
    ({"verifier": None}, "invalid_request"),
    ({"redirect_uri": "https://app.example/callback/"}, "invalid_grant"),
    ({"redirect_uri": "https://evil.example/"}, "invalid_grant"),
    ({"verifier": "a" * 43}, "invalid_grant"),
    ({"verifier": ""}, "invalid_grant"),
    ({"verifier": "\0" * 43}, "invalid_grant"),
    ({"verifier": challenge_of(VERIFIER)}, "invalid_grant"),
]
wrong = pytest.mark.parametrize(("changes", "error"), WRONG)


def judge(snapshot, presented=GOOD, now=NOW, grace=GRACE):
    verdict = judge_code(snapshot, presented, now=now, grace=grace)
    is_refused = verdict.decision is not CodeDecision.REDEEM
    assert bool(verdict.error) is bool(verdict.description) is is_refused
    return verdict.rule, verdict.decision, verdict.error


def test_an_unknown_code_and_another_clients_are_told_apart_by_nobody():
    unknown = judge_code(None, GOOD, now=NOW, grace=GRACE)
    foreign = judge_code(ISSUED, replace(GOOD, client_id="app-2"), now=NOW, grace=GRACE)
    assert unknown == foreign
    assert (unknown.rule, unknown.decision, unknown.error) == ("C1", CodeDecision.REFUSE, "invalid_grant")


@pytest.mark.parametrize("redeemed_at", [None, NOW, NOW - timedelta(hours=1)])
def test_another_client_burns_and_ends_nothing(redeemed_at):
    snapshot = replace(ISSUED, redeemed_at=redeemed_at)
    assert judge(snapshot, replace(GOOD, client_id="app-2"))[:2] == ("C1", CodeDecision.REFUSE)


@wrong
def test_a_code_survives_what_does_not_fit_it(changes, error):
    assert judge(ISSUED, replace(GOOD, **changes)) == ("C2", CodeDecision.REFUSE, error)


@pytest.mark.parametrize("age", [timedelta(0), LIFETIME - SECOND])
def test_a_good_code_is_redeemed(age):
    assert judge(ISSUED, now=NOW + age) == ("C3", CodeDecision.REDEEM, "")


@pytest.mark.parametrize("age", [-SECOND, timedelta(0), GRACE - timedelta(microseconds=1)])
def test_asked_twice_within_the_grace_the_session_goes_on(age):
    assert judge(REDEEMED, now=NOW + age) == ("C5", CodeDecision.REPLAY_WITHIN_GRACE, "invalid_grant")


@pytest.mark.parametrize("age", [GRACE, LIFETIME, timedelta(days=1)])
def test_asked_again_after_it_the_session_ends(age):
    assert judge(REDEEMED, now=NOW + age) == ("C6", CodeDecision.REPLAY_ENDS, "invalid_grant")


@pytest.mark.parametrize("gone", ["login_live", "user_active", "client_enabled"])
def test_a_replay_ends_the_session_whatever_has_ended_beside_it(gone):
    late = judge(replace(REDEEMED, **{gone: False}), now=NOW + GRACE)
    assert late[1] is CodeDecision.REPLAY_ENDS


@wrong
@pytest.mark.parametrize("age", [timedelta(0), GRACE, timedelta(days=1)])
def test_who_has_only_read_a_spent_code_ends_nothing(changes, error, age):
    assert judge(REDEEMED, replace(GOOD, **changes), now=NOW + age) == ("C7", CodeDecision.REFUSE, error)


@pytest.mark.parametrize(
    "changes",
    [
        {"expires_at": NOW},
        {"expires_at": NOW - SECOND},
        {"login_live": False},
        {"user_active": False},
        {"client_enabled": False},
    ],
)
def test_a_dead_code_opens_nothing(changes):
    assert judge(replace(ISSUED, **changes)) == ("C8", CodeDecision.REFUSE, "invalid_grant")


def test_a_session_is_opened_and_ended_only_by_who_holds_all_of_it():
    facts = [None, ISSUED, REDEEMED, replace(ISSUED, login_live=False), replace(ISSUED, expires_at=NOW)]
    bad = [{"client_id": "app-2"}, *(changes for changes, _ in WRONG)]
    for snapshot, changes, age in product(facts, bad, (timedelta(0), GRACE, timedelta(days=1))):
        assert judge(snapshot, replace(GOOD, **changes), now=NOW + age)[1] is CodeDecision.REFUSE


def test_the_client_is_not_told_the_rule():
    spent = judge_code(REDEEMED, GOOD, now=NOW, grace=GRACE)
    assert (spent.refusal.error, spent.refusal.rule) == ("invalid_grant", "")
    assert spent.refusal.error_description == spent.description


def test_a_verifier_is_not_printed():
    assert VERIFIER not in repr(GOOD)
