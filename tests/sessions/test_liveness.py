"""authx.sessions.liveness: is it alive, what does its user's own state say, and was it used."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from authx.core.access_token import write_access_token
from authx.errors import (
    RefreshMalformed,
    SessionEnded,
    StoreUnavailable,
    TokenError,
    TokenExpired,
    TokenMalformed,
)
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session, recognize, refresh_session
from authx.sessions.activity import record_use
from authx.sessions.liveness import find_live
from authx.sessions.lookup import find_by_sid
from authx.sessions.step_up import is_recent
from authx.store.after_transaction import run_pending
from tests.faults_in_database import outage
from tests.reading import find_by_refresh_token
from tests.rows import row

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = START + timedelta(minutes=2)
ANOTHER_HASH = "md5$another$0123456789abcdef0123456789abcdef"


@pytest.fixture
def opened(ada):
    return open_session(ada, now=START)


def bulk_update(user, **change):
    get_user_model()._default_manager.filter(pk=user.pk).update(**change)


def refused(use):
    """The reason the session is refused with."""
    with pytest.raises(SessionEnded) as refused:
        use()
    return refused.value.reason


# recognize


def test_one_statement_reads_session_user_and_clock(opened, django_assert_num_queries):
    with django_assert_num_queries(1):
        session = recognize(opened.access_token, now=LATER)
        assert session.pk == opened.session.pk
        assert session.user.get_username() == opened.session.user.get_username()
    with django_assert_num_queries(1):
        found = find_live(opened.claims, now=LATER)
        assert found.session.user.get_username() == opened.session.user.get_username()
        assert found.now.tzinfo is not None


def test_a_token_that_is_bad_by_itself_costs_no_statement(opened, django_assert_num_queries):
    with django_assert_num_queries(0):
        with pytest.raises(TokenMalformed):
            recognize(opened.access_token[:-4] + "AAAA", now=LATER)
        with pytest.raises(TokenExpired):
            recognize(opened.access_token, now=START + timedelta(minutes=15, seconds=10))
        with pytest.raises(TokenMalformed):
            recognize(opened.refresh_token, now=LATER)
        with pytest.raises(TokenMalformed):
            recognize(None, now=LATER)


@pytest.mark.parametrize("reason", ["logout", "kicked", "reused", "superseded"])
def test_an_ended_session_is_refused_with_its_reason(opened, reason):
    end_session(opened.session, reason, now=START)
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == reason


def test_an_expired_session_is_refused_although_its_token_is_not(ada, settings):
    settings.AUTHX_IDLE_LIFETIME = timedelta(hours=1)
    opened = open_session(ada, now=START)
    DeviceSession.objects.filter(pk=opened.session.pk).update(idle_expires_at=LATER)
    assert recognize(opened.access_token, now=LATER - timedelta(microseconds=1))
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == "idle"
    DeviceSession.objects.filter(pk=opened.session.pk).update(expires_at=START + SECOND)
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == "expired"


def test_a_session_that_was_pruned_has_expired(opened):
    SessionEvent._base_manager.all()._raw_delete("default")
    DeviceSession.objects.all().delete()
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == "expired"


@pytest.mark.parametrize("sid", ["7", "not-a-uuid", "' OR 1=1 --", "0" * 32 + "0"])
def test_a_sid_that_is_none_of_ours_is_no_token_and_asks_nothing(opened, sid, django_assert_num_queries):
    token = write_access_token(replace(opened.claims, sid=sid), keyring.keyset().signing)
    with django_assert_num_queries(0), pytest.raises(TokenMalformed):
        recognize(token, now=LATER)


def test_a_session_that_was_replaced_says_by_what(ada):
    device = Device(id="phone-1", type="android")
    old = open_session(ada, device=device, now=START)
    open_session(ada, device=device, now=START + SECOND)
    with pytest.raises(SessionEnded) as refusal:
        recognize(old.access_token, now=LATER)
    assert (refusal.value.reason, refusal.value.replaced_by) == ("replaced", "android")
    assert refusal.value.sid == old.session.pk


def test_a_token_does_not_fit_another_subjects_session(opened):
    DeviceSession.objects.filter(pk=opened.session.pk).update(subject="somebody else")
    with pytest.raises(TokenMalformed):
        recognize(opened.access_token, now=LATER)


@pytest.mark.django_db(transaction=True)
def test_without_a_database_it_cannot_be_known(opened):
    with outage():
        for use in (recognize, verify_access_token):
            with pytest.raises(StoreUnavailable):
                use(opened.access_token, now=LATER)
    assert recognize(opened.access_token, now=LATER).pk == opened.session.pk


# What the user's own state says


CHANGES = {
    "user_disabled": {"is_active": False},
    "password_changed": {"password": ANOTHER_HASH},
}


@pytest.mark.parametrize("reason", CHANGES)
def test_a_bulk_update_ends_the_session_at_its_next_read(opened, ada, reason):
    bulk_update(ada, **CHANGES[reason])
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == reason
    assert refused(lambda: verify_access_token(opened.access_token, now=LATER)) == reason


@pytest.mark.parametrize("reason", CHANGES)
@pytest.mark.django_db(transaction=True)
def test_and_is_then_written_down_once_for_good(opened, ada, reason):
    before = {field: getattr(ada, field) for field in CHANGES[reason]}
    bulk_update(ada, **CHANGES[reason])
    for _ in range(2):
        assert refused(lambda: recognize(opened.access_token, now=LATER)) == reason
    assert (row(opened).end_reason, row(opened).ended_at) == (reason, LATER)
    assert SessionEvent.objects.filter(kind="ended").count() == 1
    bulk_update(ada, **before)
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == reason
    assert refused(lambda: refresh_session(opened.refresh_token, now=LATER)) == reason


@pytest.mark.django_db(transaction=True)
def test_a_user_that_is_gone_ends_the_session_at_its_next_read(opened):
    DeviceSession.objects.filter(pk=opened.session.pk).update(user=None)
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == "user_deleted"
    assert row(opened).end_reason == "user_deleted"


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_it_is_written_down_when_that_commits(opened, ada):
    bulk_update(ada, is_active=False)
    with transaction.atomic():
        assert refused(lambda: recognize(opened.access_token, now=LATER)) == "user_disabled"
        assert row(opened).ended_at is None
    assert row(opened).end_reason == "user_disabled"


@pytest.mark.django_db(transaction=True)
def test_a_session_that_ended_first_keeps_its_reason(opened, ada):
    end_session(opened.session, "logout", now=START)
    bulk_update(ada, is_active=False)
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == "logout"


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_rolled_back_does_not_forget_it(opened, ada):
    """ATOMIC_REQUESTS rolls back what is refused; the request's end writes it down all the same."""
    bulk_update(ada, is_active=False)
    with transaction.atomic():
        assert refused(lambda: recognize(opened.access_token, now=LATER)) == "user_disabled"
        transaction.set_rollback(True)
    assert row(opened).ended_at is None
    run_pending()
    assert row(opened).end_reason == "user_disabled"
    run_pending()
    assert SessionEvent.objects.filter(kind="ended").count() == 1


def test_another_field_of_the_user_ends_nobody(opened, ada):
    bulk_update(ada, email="ada@elsewhere.example", last_login=LATER)
    assert recognize(opened.access_token, now=LATER).user.email == "ada@elsewhere.example"


# SECRET_KEY


@pytest.fixture
def rotate_secret(settings):
    """The middle step of a rotation: a new key signs, the old one still verifies."""

    def rotate():
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "the-new-secret-key-of-the-site-long-and-random-enough"

    return rotate


def test_a_rotated_secret_key_keeps_tokens_refresh_tokens_and_fingerprints_good(opened, rotate_secret):
    rotate_secret()
    assert recognize(opened.access_token, now=LATER).pk == opened.session.pk
    assert verify_access_token(opened.access_token, now=LATER) == opened.claims
    assert refresh_session(opened.refresh_token, now=LATER).claims.gen == 2


def test_after_one_refresh_the_old_key_may_be_dropped(opened, rotate_secret, settings):
    rotate_secret()
    renewed = refresh_session(opened.refresh_token, now=LATER)
    settings.SECRET_KEY_FALLBACKS = []
    assert recognize(renewed.access_token, now=LATER).pk == opened.session.pk
    again = refresh_session(renewed.refresh_token, now=LATER + timedelta(days=1))
    assert again.claims.gen == 3


def test_what_was_made_with_a_dropped_key_is_good_for_nothing(opened, rotate_secret, settings):
    rotate_secret()
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(TokenError) as unknown:
        recognize(opened.access_token, now=LATER)
    assert unknown.value.code == "key_unknown"
    with pytest.raises(RefreshMalformed):
        refresh_session(opened.refresh_token, now=LATER)


def test_a_new_password_is_noticed_beside_a_rotated_key(opened, ada, rotate_secret):
    rotate_secret()
    bulk_update(ada, password=ANOTHER_HASH)
    assert refused(lambda: recognize(opened.access_token, now=LATER)) == "password_changed"


# T2 and last seen


def use(credentials, committed, now):
    """The client's access token arrives at the issuer."""
    session = recognize(credentials.access_token, now=now)
    with committed():
        record_use(session, credentials.claims, now=now)
    return row(credentials)


def test_t2_an_access_token_in_use_confirms_its_generation(opened, committed):
    assert row(opened).confirmed_generation == 0
    used = use(opened, committed, START + SECOND)
    assert (used.confirmed_generation, used.last_seen_at) == (1, START + SECOND)
    assert not used.rotation_state().is_pending


def test_t2_is_written_once_per_generation(opened, committed, django_assert_num_queries):
    use(opened, committed, START + SECOND)
    session = recognize(opened.access_token, now=START + 2 * SECOND)
    with django_assert_num_queries(0), committed():
        record_use(session, opened.claims, now=START + 2 * SECOND)


def test_t2_is_not_throttled_by_last_seen(opened, committed):
    use(opened, committed, START + SECOND)
    renewed = refresh_session(opened.refresh_token, now=START + 31 * SECOND)
    assert use(renewed, committed, START + 31 * SECOND).confirmed_generation == 2


def test_t2_an_older_generations_access_token_confirms_nothing(opened, committed):
    use(opened, committed, START + SECOND)
    refresh_session(opened.refresh_token, now=START + 31 * SECOND)
    used = use(opened, committed, START + 32 * SECOND)
    assert (used.generation, used.confirmed_generation) == (2, 1)


def test_t2_that_comes_late_does_not_confirm_a_generation_it_has_not_seen(opened, committed):
    session = recognize(opened.access_token, now=START + SECOND)
    refresh_session(opened.refresh_token, now=START + 31 * SECOND)
    with committed():
        record_use(session, opened.claims, now=START + 32 * SECOND)
    assert (row(opened).generation, row(opened).confirmed_generation) == (2, 1)


def test_t2_does_nothing_to_a_session_that_has_ended_meanwhile(opened, committed):
    session = recognize(opened.access_token, now=START + SECOND)
    end_session(session, "kicked", now=START + SECOND)
    with committed():
        record_use(session, opened.claims, now=START + timedelta(minutes=5))
    assert (row(opened).confirmed_generation, row(opened).last_seen_at) == (0, START)


def test_t2_writes_no_event(opened, committed):
    use(opened, committed, START + SECOND)
    assert list(SessionEvent.objects.values_list("kind", flat=True)) == ["opened"]


def test_last_seen_is_written_at_most_once_a_minute(opened, committed, django_assert_num_queries):
    use(opened, committed, START + SECOND)
    session = recognize(opened.access_token, now=START + 60 * SECOND)
    with django_assert_num_queries(0), committed():
        record_use(session, opened.claims, now=START + 60 * SECOND)
    with django_assert_num_queries(1), committed():
        record_use(session, opened.claims, now=START + 61 * SECOND)
    assert row(opened).last_seen_at == START + 61 * SECOND


def test_last_seen_never_goes_back(opened, committed):
    session = recognize(opened.access_token, now=LATER)
    DeviceSession.objects.update(last_seen_at=LATER + timedelta(hours=1), confirmed_generation=1)
    session.confirmed_generation = 1
    with committed():
        record_use(session, opened.claims, now=LATER)
    assert row(opened).last_seen_at == LATER + timedelta(hours=1)


def test_use_extends_no_limit(opened, committed):
    before = row(opened)
    used = use(opened, committed, LATER)
    assert (used.idle_expires_at, used.expires_at) == (before.idle_expires_at, before.expires_at)


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_use_is_written_when_that_commits(opened):
    session = recognize(opened.access_token, now=LATER)
    with transaction.atomic():
        record_use(session, opened.claims, now=LATER)
        assert row(opened).confirmed_generation == 0
    assert row(opened).confirmed_generation == 1
    with transaction.atomic():
        record_use(session, opened.claims, now=LATER + timedelta(hours=1))
        transaction.set_rollback(True)
    assert row(opened).last_seen_at == LATER


@pytest.mark.django_db(transaction=True)
def test_use_that_cannot_be_written_is_logged_and_written_by_the_next_request(opened, caplog):
    session = recognize(opened.access_token, now=LATER)
    with outage():
        record_use(session, opened.claims, now=LATER)
    assert "ERROR" in caplog.text
    assert row(opened).confirmed_generation == 0
    record_use(recognize(opened.access_token, now=LATER), opened.claims, now=LATER)
    assert row(opened).confirmed_generation == 1


# Reading again, and by whatever credential


def test_a_session_is_read_again_as_it_is_now(ada):
    session = open_session(ada).session
    DeviceSession.objects.filter(pk=session.pk).update(device_name="renamed")
    again = find_by_sid(session.pk).session
    assert (again.device_name, again.user) == ("renamed", ada)


def test_read_again_an_ended_session_is_still_there_and_a_missing_one_is_none(ada):
    session = open_session(ada).session
    end_session(session, "kicked")
    assert find_by_sid(session.pk).session.end_reason == "kicked"
    assert find_by_sid(DeviceSession._meta.pk.get_default()) is None


def test_any_generation_finds_its_session_live_or_ended_and_changes_nothing(opened):
    second = refresh_session(opened.refresh_token, now=LATER)
    refresh_session(second.refresh_token, now=LATER + timedelta(minutes=1))
    end_session(opened.session, "kicked", now=LATER + timedelta(minutes=2))
    before = DeviceSession.objects.values().get()
    assert find_by_refresh_token(opened.refresh_token).pk == opened.session.pk
    assert DeviceSession.objects.values().get() == before


# Step-up


def test_a_proof_is_recent_up_to_the_age_that_is_asked_for(ada):
    session = open_session(ada).session
    assert is_recent(session, None)
    assert is_recent(session, timedelta(minutes=1))
    session.auth_time -= timedelta(hours=1)
    assert not is_recent(session, timedelta(minutes=59))
    assert is_recent(session, timedelta(minutes=61))
    assert is_recent(None, None)
    assert not is_recent(None, timedelta(days=999))
