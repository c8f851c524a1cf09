"""authx.core.auth_time: an unknown proof is stored, issued, told and judged as what it is."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from authx.core.actor import NOBODY
from authx.core.auth_time import AUTH_TIME_UNKNOWN, as_claim, is_known, is_within
from authx.gate import verify_access_token
from authx.gate.principal import TokenCaller
from authx.issuer.introspection import introspect
from authx.models import DeviceSession
from authx.sessions import open_session, recognize, refresh_session
from authx.sessions.continuing import continue_session
from authx.sessions.step_up import is_recent

LONG = [timedelta(seconds=1), timedelta(days=365 * 60), timedelta.max]


@pytest.mark.parametrize("max_age", LONG, ids=str)
@pytest.mark.parametrize("auth_time", [0, 0.999, -1, -(10**12)])
def test_an_unknown_proof_is_within_no_time(auth_time, max_age):
    assert not is_known(auth_time)
    assert not is_within(max_age, auth_time, now=2.0)


def test_a_known_proof_is_recent_until_it_is_older_than_that():
    assert is_within(timedelta(seconds=9), 1, now=10)
    assert not is_within(timedelta(seconds=9), 1, now=10.001)
    assert is_within(timedelta.max, 1, now=1e13)


@pytest.mark.parametrize(
    ("auth_time", "claim"),
    [
        (AUTH_TIME_UNKNOWN, 0),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
        (datetime(1, 1, 1, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), 0),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), 1),
    ],
    ids=str,
)
def test_the_claim_is_never_negative(auth_time, claim):
    assert as_claim(auth_time) == claim


@pytest.fixture
def unknown(ada):
    """A session that nobody has seen a proof of."""
    return open_session(ada, auth_time=AUTH_TIME_UNKNOWN)


def test_every_database_keeps_it(unknown):
    session = DeviceSession.objects.get()
    assert session.auth_time == AUTH_TIME_UNKNOWN == recognize(unknown.access_token).auth_time
    assert session.known_auth_time is None
    assert DeviceSession.objects.filter(auth_time=AUTH_TIME_UNKNOWN).exists()


def test_its_token_is_good_and_says_so_to_the_issuer_and_to_services(unknown):
    assert verify_access_token(unknown.access_token).auth_time == 0
    claims = verify_access_token(unknown.access_token)
    assert introspect(unknown.access_token)["auth_time"] == 0
    assert TokenCaller(claims).user().claims.auth_time == 0


@pytest.mark.parametrize("max_age", LONG, ids=str)
def test_it_is_no_recent_login_however_long_that_may_be(unknown, max_age):
    assert not is_recent(unknown.session, max_age)
    assert is_recent(unknown.session, None)  # nothing is asked for


@pytest.mark.django_db(transaction=True)
def test_a_renewal_learns_nothing(unknown):
    assert refresh_session(unknown.refresh_token).claims.auth_time == 0


def test_a_proof_given_now_makes_it_known(unknown):
    proved = continue_session(unknown.session, NOBODY, methods=["pwd"], came_back=True)
    assert is_recent(proved.session, timedelta(minutes=1))
    assert DeviceSession.objects.get(pk=proved.session.pk).known_auth_time is not None
