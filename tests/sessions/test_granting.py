"""authx.sessions.granting: a code opens one session, or none (C1 to C8)."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import transaction

from authx import signals
from authx.conf import conf
from authx.core.actor import Actor
from authx.core.pkce import challenge_of
from authx.errors import OAuthError, SessionEnded, StoreUnavailable
from authx.gate.verify import ensure_live, read_claims
from authx.models import AuthorizationCode, DeviceSession, SessionEvent
from authx.sessions import end_everyone, end_session, end_user_sessions, granting, open_session
from authx.sessions.code_pruning import INTERVAL, Tidying, prune_codes
from authx.sessions.continuing import continue_session
from authx.sessions.lookup import find_by_sid
from tests.faults_in_database import outage
from tests.granted import API, CALLBACK, OTHER, VERIFIER, code_of, make_client, redeem

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def client():
    return make_client()


@pytest.fixture
def login(ada):
    return open_session(ada, now=NOW).session


def row_of(code):
    return AuthorizationCode.objects.get(pk=sha256(code.encode()).hexdigest())


def refused(client, code, **parts):
    with pytest.raises(OAuthError) as error:
        redeem(client, code, **parts)
    return error.value.error


def events(session):
    found = SessionEvent.objects.filter(session=session)
    return list(found.values_list("kind", "outcome", "client_id", "actor", "note"))


# Issued


def test_only_a_hash_of_a_code_is_stored(client, login):
    code = code_of(client, login, now=NOW)
    row = row_of(code)
    assert len(code) == 43
    assert (row.client, row.user, row.login, row.redirect_uri) == (client, login.user, login, CALLBACK)
    assert (row.scope, row.resources) == ("orders:read orders:write", [API, OTHER])
    assert row.challenge == challenge_of(VERIFIER)
    assert (row.expires_at, row.redeemed_at) == (NOW + timedelta(seconds=60), None)
    assert find_by_sid(row.session_id, client_id=None) is None
    assert code not in repr(vars(row))


def test_it_lives_a_minute_by_the_databases_clock(client, login):
    code = code_of(client, login)
    left = row_of(code).expires_at - datetime.now(UTC)
    assert timedelta(seconds=55) < left < timedelta(seconds=65)


# C3


def test_a_good_code_opens_the_session_chosen_for_it(client, login):
    code = code_of(client, login, now=NOW)
    credentials = redeem(client, code, now=NOW + SECOND)
    session = DeviceSession.objects.get(pk=row_of(code).session_id)
    assert credentials.session == session
    assert (session.user, session.client_id, session.device_type) == (login.user, "app-1", "client")
    assert (session.scope, session.audience) == ("orders:read orders:write", [API, OTHER])
    assert session.created_at == row_of(code).redeemed_at == NOW + SECOND
    assert events(session) == [("opened", "", "app-1", None, "")]
    claims = read_claims(credentials.access_token, audience=[OTHER], delegated=True, now=NOW + SECOND)
    assert claims == credentials.claims
    assert (claims.scope, claims.aud, claims.gty) == (session.scope, (API, OTHER), "authorization_code")
    assert (claims.sub, claims.amr, claims.client_id) == (login.subject, ("pwd",), "app-1")
    assert credentials.refresh_token


def test_it_outlives_the_secret_key_of_its_login(client, login, settings):
    settings.SECRET_KEY, old = (
        "another-secret-key-of-more-than-fifty-characters-0123456789",
        settings.SECRET_KEY,
    )
    settings.SECRET_KEY_FALLBACKS = [old]
    credentials = redeem(client, code_of(client, login, now=NOW), now=NOW)
    settings.SECRET_KEY_FALLBACKS = []
    assert ensure_live(credentials.claims, now=NOW)


def test_a_request_for_tokens_may_narrow_the_resources_of_this_token_alone(client, login):
    credentials = redeem(client, code_of(client, login, now=NOW), resources=[API], now=NOW)
    assert credentials.claims.aud == (API,)
    assert credentials.session.audience == [API, OTHER]


@pytest.mark.parametrize("resource", ["https://third.example/", "nonsense", "https://api.example/#part"])
def test_it_cannot_widen_them_and_the_code_stays(client, login, resource):
    code = code_of(client, login, now=NOW, resources=(API,))
    assert refused(client, code, resources=[resource], now=NOW) == "invalid_target"
    assert refused(client, code, resources=[API, OTHER], now=NOW) == "invalid_target"
    assert redeem(client, code, now=NOW).claims.aud == (API,)


def test_what_the_client_has_lost_meanwhile_its_token_does_not_have(client, login):
    code = code_of(client, login, now=NOW)
    client.scope, client.resources = "orders:read", [OTHER]
    client.save()
    claims = redeem(client, code, now=NOW).claims
    assert (claims.scope, claims.aud) == ("orders:read", (OTHER,))


def test_without_the_refresh_grant_there_is_no_refresh_token(login):
    client = make_client("app-2", grant_types=["authorization_code"])
    credentials = redeem(client, code_of(client, login, now=NOW), now=NOW)
    assert (credentials.refresh_token, credentials.refresh_cookie) == ("", "")
    session = credentials.session
    assert session.expires_at == session.idle_expires_at == credentials.claims.expires_at
    end = credentials.claims.expires_at
    assert ensure_live(credentials.claims, now=end - SECOND)
    with pytest.raises(SessionEnded):
        ensure_live(credentials.claims, now=end)


def test_a_client_that_may_use_no_codes_has_none(client, login):
    code = code_of(client, login, now=NOW)
    client.grant_types = None
    assert refused(client, code, now=NOW) == "unauthorized_client"


# C1, C2, C7: nothing changes


def test_a_strangers_code_is_no_code(client, login):
    other = make_client("app-2")
    code = code_of(client, login, now=NOW)
    assert refused(other, code, now=NOW) == "invalid_grant"
    for unknown in ("", "x" * 43, "\x00", "\ud800", "x" * 100_000):
        assert refused(client, unknown, now=NOW) == "invalid_grant"
    assert redeem(client, code, now=NOW)


WRONG = {
    "no verifier": ({"verifier": None}, "invalid_request"),
    "a wrong verifier": ({"verifier": VERIFIER[::-1]}, "invalid_grant"),
    "the challenge": ({"verifier": challenge_of(VERIFIER)}, "invalid_grant"),
    "a short verifier": ({"verifier": "short"}, "invalid_grant"),
    "no redirect_uri": ({"redirect_uri": None}, "invalid_request"),
    "another redirect_uri": ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
}


@pytest.mark.parametrize(("parts", "error"), WRONG.values(), ids=WRONG)
def test_a_stranger_cannot_burn_a_code(client, login, parts, error):
    code = code_of(client, login, now=NOW)
    assert refused(client, code, now=NOW, **parts) == error
    assert row_of(code).redeemed_at is None
    session = redeem(client, code, now=NOW).session
    later = NOW + conf.REFRESH_GRACE
    assert refused(client, code, now=later, **parts) == error
    assert find_by_sid(session.pk, client_id="app-1").session.ended_at is None
    assert [kind for kind, *_ in events(session)] == ["opened"]


# C5, C6


def test_within_the_grace_a_replay_is_refused_and_the_session_goes_on(client, login):
    code = code_of(client, login, now=NOW)
    session = redeem(client, code, now=NOW).session
    for at in (NOW, NOW + conf.REFRESH_GRACE - timedelta(microseconds=1)):
        assert refused(client, code, now=at) == "invalid_grant"
    session.refresh_from_db()
    assert session.ended_at is None
    assert [kind for kind, *_ in events(session)] == ["opened"]


def test_after_the_grace_a_replay_ends_the_session(client, login, django_capture_on_commit_callbacks):
    code = code_of(client, login, now=NOW)
    session = redeem(client, code, now=NOW).session
    later, heard = NOW + conf.REFRESH_GRACE, []

    def note(session, **kwargs):
        heard.append(session.pk)

    signals.refresh_reused.connect(note)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assert refused(client, code, now=later) == "invalid_grant"
            assert refused(client, code, now=later) == "invalid_grant"
    finally:
        signals.refresh_reused.disconnect(note)
    session.refresh_from_db()
    assert (session.ended_at, session.end_reason) == (later, "reused")
    assert events(session)[1:] == [("ended", "reused", "app-1", None, "C6")]
    assert heard == [session.pk]


def test_a_code_knows_nothing_of_a_session_that_ended_otherwise(client, login):
    code = code_of(client, login, now=NOW)
    session = redeem(client, code, now=NOW).session
    end_session(session, "kicked", now=NOW + SECOND)
    assert refused(client, code, now=NOW + timedelta(minutes=5)) == "invalid_grant"
    session.refresh_from_db()
    assert session.end_reason == "kicked"


# C8


def kick(login):
    end_session(login, "kicked", now=NOW)


def kick_everywhere(login):
    end_user_sessions(login.user, "kicked")


def kick_everybody(login):
    end_everyone("kicked")


def disable(login):
    get_user_model()._default_manager.filter(pk=login.user.pk).update(is_active=False)


def delete(login):
    login.user.delete()


def change_password(login):
    login.user.set_password("another-password")
    login.user.save()


def change_password_quietly(login):
    login.user.set_password("another-password")
    get_user_model()._default_manager.filter(pk=login.user.pk).update(password=login.user.password)


ENDS = [kick, kick_everywhere, kick_everybody, disable, delete, change_password, change_password_quietly]


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_the_login_ends_the_code(client, login, end):
    code = code_of(client, login, now=NOW)
    end(login)
    assert refused(client, code, now=NOW + SECOND) == "invalid_grant"
    assert not DeviceSession.objects.exclude(client_id="").exists()


@pytest.mark.parametrize("end", ENDS[1:])
def test_what_ends_the_user_ends_the_session(client, login, end):
    """T6; a single kick of the login is no end of the apps that its user has connected."""
    credentials = redeem(client, code_of(client, login, now=NOW), now=NOW)
    assert ensure_live(credentials.claims, now=NOW)
    end(login)
    with pytest.raises(SessionEnded):
        ensure_live(credentials.claims, now=NOW + SECOND)


def test_an_expired_code_is_dead(client, login):
    code = code_of(client, login, now=NOW)
    minute = timedelta(seconds=60)
    assert refused(client, code, now=NOW + minute) == "invalid_grant"
    assert redeem(client, code, now=NOW + minute - timedelta(microseconds=1))


def test_an_expired_login_is_no_login(client, login):
    at = login.idle_expires_at - SECOND
    code = code_of(client, login, now=at)
    assert refused(client, code, now=login.idle_expires_at) == "invalid_grant"


def test_a_login_that_was_stepped_up_lives_in_its_successor(client, login):
    code = code_of(client, login, now=NOW)
    for _ in range(2):
        login = continue_session(
            login, Actor(login.user), methods=["otp"], came_back=True, now=NOW + SECOND
        ).session
    credentials = redeem(client, code, now=NOW + SECOND)
    assert credentials.claims.amr == tuple(login.amr)
    assert "otp" in login.amr


def test_and_dies_with_it(client, login):
    code = code_of(client, login, now=NOW)
    after = continue_session(login, Actor(login.user), methods=["otp"], came_back=True, now=NOW).session
    end_session(after, "kicked", now=NOW)
    assert refused(client, code, now=NOW + SECOND) == "invalid_grant"


def test_a_client_disabled_meanwhile_gets_nothing(client, login):
    code = code_of(client, login, now=NOW)
    type(client).objects.update(disabled_at=NOW)  # after it was authenticated
    assert refused(client, code, now=NOW) == "invalid_client"
    assert row_of(code).redeemed_at is None
    client.refresh_from_db()
    assert refused(client, code, now=NOW) == "invalid_grant"


# The site's claims


def claims_of(session, client):
    return {"tenant": str(session.user.pk), "client_name": client.name, "sid_known": str(session.pk)}


def broken(session, client):
    raise LookupError("no tenant")


def too_much(session, client):
    return {"roles": ["staff"], "scope": "everything"}


def test_the_site_may_add_claims(client, login, settings):
    settings.AUTHX_GRANT_CLAIMS = f"{__name__}.claims_of"
    settings.AUTHX_CLAIMS = f"{__name__}.broken"  # of logins alone
    credentials = redeem(client, code_of(client, login, now=NOW), now=NOW)
    known = {"tenant": str(login.user.pk), "client_name": "Reader", "sid_known": str(credentials.session.pk)}
    assert credentials.claims.extra == known


@pytest.mark.parametrize(("name", "error"), [("broken", LookupError), ("too_much", ImproperlyConfigured)])
def test_where_it_fails_nothing_is_spent(client, login, settings, name, error):
    code = code_of(client, login, now=NOW)
    settings.AUTHX_GRANT_CLAIMS = f"{__name__}.{name}"
    with pytest.raises(error):
        redeem(client, code, now=NOW)
    assert row_of(code).redeemed_at is None
    settings.AUTHX_GRANT_CLAIMS = None
    assert redeem(client, code, now=NOW)


# Faults


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_spends_nothing(client, login):
    code = code_of(client, login, now=NOW)
    with outage(), pytest.raises(StoreUnavailable):
        redeem(client, code, now=NOW)
    assert redeem(client, code, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_redeemed_inside_a_transaction(client, login):
    code = code_of(client, login, now=NOW)
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        redeem(client, code, now=NOW)


# Pruning


def test_old_codes_are_pruned_and_spent_ones_are_known_for_a_day(client, login):
    codes = [code_of(client, login, now=NOW) for _ in range(3)]
    redeem(client, codes[0], now=NOW)
    last = NOW + timedelta(days=1, minutes=1)
    assert sum(prune_codes(2, now=last)) == 0
    assert list(prune_codes(2, now=last + SECOND)) == [2, 1]


def test_authx_prune_does_so(client, login):
    code_of(client, login, now=datetime.now(UTC) - timedelta(days=2))
    kept = code_of(client, login, now=datetime.now(UTC))
    call_command("authx_prune", pause=0, verbosity=0)
    assert list(AuthorizationCode.objects.all()) == [row_of(kept)]


def test_now_and_then_a_process_that_issues_codes_does(client, login, django_capture_on_commit_callbacks):
    seconds = [0.0]
    tidying = Tidying(lambda: seconds[0])
    left = []
    for seconds[0] in (INTERVAL - 1, INTERVAL, INTERVAL + 1):
        code_of(client, login, now=NOW - timedelta(days=400))
        with django_capture_on_commit_callbacks(execute=True):
            tidying.after_commit()
        left.append(AuthorizationCode.objects.count())
    assert left == [1, 0, 1]


def test_and_judges_what_is_old_by_the_time_that_the_code_was_issued_at(
    client, login, monkeypatch, django_capture_on_commit_callbacks
):
    seconds = [0.0]
    monkeypatch.setattr(granting, "tidying", Tidying(lambda: seconds[0]))
    long_ago = NOW - timedelta(days=400)
    code_of(client, login, now=long_ago - timedelta(days=2))
    seconds[0] = INTERVAL
    with django_capture_on_commit_callbacks(execute=True):
        code = code_of(client, login, now=long_ago)
    assert list(AuthorizationCode.objects.all()) == [row_of(code)]


def test_a_code_that_was_sent_to_where_the_client_is_no_more_is_dead(client, login):
    code = code_of(client, login, now=NOW)
    client.redirect_uris = ["https://app.example/other"]
    client.save()
    assert refused(client, code, now=NOW) == "invalid_grant"
    assert row_of(code).redeemed_at is None
    client.redirect_uris = [CALLBACK]
    assert redeem(client, code, now=NOW).access_token


def test_one_for_another_port_of_this_computer_is_not(login):
    """It is the registered one all the same (RFC 8252 §7.3)."""
    client = make_client("native", auth_method="none", redirect_uris=["http://127.0.0.1/done"])
    place = "http://127.0.0.1:5000/done"
    code = code_of(client, login, redirect_uri=place, now=NOW)
    assert redeem(client, code, redirect_uri=place, now=NOW).access_token
