"""authx.sessions.live_lookup: a live session in few columns, and the same answers as with all of them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from authx.errors import AuthxError, SessionEnded, StoreUnavailable
from authx.models import DeviceSession, SessionEvent, SigningKey
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session
from authx.sessions.authentication import admit
from authx.sessions.last_seen import last_seen
from authx.sessions.live_lookup import LiveSession, find_live_session
from authx.sessions.liveness import find_live
from authx.store.database import database_now
from tests.rows import row
from tests.sessions.test_lookup import columns
from tests.sessions.test_refreshing import outage

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _nobody_was_seen():
    last_seen.clear()
    yield
    last_seen.clear()


def lean(claims, **options):
    return admit(claims, reads_session=False, **options)


def change(opened, **values):
    DeviceSession.objects.filter(pk=opened.session.pk).update(**values)


def test_one_statement_reads_the_user_and_no_more_of_the_session_than_it_takes(
    opened, django_assert_num_queries
):
    with django_assert_num_queries(1) as asked:
        caller = lean(opened.claims)
        user = caller.user()
    assert type(user) is get_user_model()
    assert columns(user) == columns(get_user_model().objects.get(pk=opened.session.user_id))
    assert (user._state.db, user._state.adding) == ("default", False)
    for name in ("user_agent", "salt", "device_name", "rotated_at"):
        assert name not in asked.captured_queries[0]["sql"]


def test_the_session_is_one_statement_more_and_whole(opened, django_assert_num_queries):
    caller = lean(opened.claims)
    assert caller.is_read
    with django_assert_num_queries(1):
        session = caller.session
        assert caller.session is session
    assert columns(session) == columns(row(opened))
    assert session.get_deferred_fields() == set()
    assert session.user is caller.user()
    session.device_name = "renamed"
    session.save(update_fields=["device_name"])
    assert row(opened).device_name == "renamed"


def test_a_view_that_reads_it_says_so_and_pays_once(opened, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert admit(opened.claims).session.device_name == ""


def test_a_session_that_ends_within_the_request_is_shown_as_ended(opened):
    caller = lean(opened.claims)
    end_session(opened.session, "kicked")
    assert caller.session.end_reason == "kicked"


def test_one_that_is_deleted_within_the_request_has_expired(opened):
    caller = lean(opened.claims)
    SessionEvent._base_manager.all()._raw_delete("default")
    DeviceSession.objects.all().delete()
    with pytest.raises(SessionEnded) as refusal:
        caller.session  # noqa: B018
    assert refusal.value.reason == "expired"


def test_nor_is_its_user_another_who_took_his_place(opened, make_user):
    caller = lean(opened.claims)
    other = make_user("eve")
    change(opened, user=other)
    assert caller.session.user == other
    assert caller.session.user_id == other.pk


# --- the same answers


ENDS = {
    "nothing": lambda opened: None,
    "logout": lambda opened: end_session(opened.session, "logout"),
    "ended at a time to come": lambda opened: change(
        opened, ended_at=timezone.now() + DAY, end_reason="kicked"
    ),
    "idle": lambda opened: change(opened, idle_expires_at=timezone.now() - MINUTE),
    "expired": lambda opened: change(opened, expires_at=timezone.now() - MINUTE),
    "both": lambda opened: change(
        opened, expires_at=timezone.now() - DAY, idle_expires_at=timezone.now() - MINUTE
    ),
    "marked": lambda opened: end_user_sessions(opened.session.user, "kicked"),
    "everybody marked": lambda opened: end_everyone("kicked"),
    "marked, its row behind": lambda opened: [
        end_user_sessions(opened.session.user, "kicked"),
        change(opened, ended_at=None, end_reason=""),
    ],
    "disabled": lambda opened: users(opened).update(is_active=False),
    "password": lambda opened: users(opened).update(password="!"),
    "deleted": lambda opened: users(opened).delete(),
    "no user": lambda opened: change(opened, user=None),
    "subject": lambda opened: change(opened, subject="another"),
    "subject in another case": lambda opened: change(opened, subject=f"{opened.session.subject} "),
    "client": lambda opened: change(opened, client_id="app-1"),
    "service": lambda opened: change(
        opened, client_id="app-1", device_type="service", subject="client:app-1", user=None
    ),
    "backend": lambda opened: change(opened, backend="no.such.Backend"),
    "pruned": lambda opened: [
        SessionEvent._base_manager.all()._raw_delete("default"),
        DeviceSession.objects.all().delete(),
    ],
}


def users(opened):
    return get_user_model()._base_manager.filter(pk=opened.session.user_id)


def outcome(ask, *arguments, **options):
    try:
        ask(*arguments, **options)
    except AuthxError as error:
        return type(error).__name__, str(error), getattr(error, "reason", None)
    return "live"


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.django_db(transaction=True)
def test_it_answers_as_the_whole_row_does(end, make_user):
    told = []
    for name, ask in (("ada", lean), ("bob", find_live)):
        opened = open_session(make_user(name))
        end(opened)
        told.append((outcome(ask, opened.claims), ended(opened)))
    assert told[0] == told[1]
    assert (told[0][0] == "live") == (end is ENDS["nothing"])


def ended(opened):
    """What is written down of its end."""
    return DeviceSession.objects.filter(pk=opened.session.pk).values_list("end_reason", flat=True).first()


@pytest.mark.parametrize("lie", [{"sid": "7"}, {"sub": "x"}, {"kid": "other"}, {"gty": "client_credentials"}])
def test_so_it_does_for_claims_that_lie(lie, opened):
    claims = replace(opened.claims, **lie)
    delegated = claims.is_delegated
    assert outcome(lean, claims, delegated=delegated) == outcome(find_live, claims, delegated=delegated)


@pytest.mark.parametrize("withdrawn", [True, False])
def test_so_it_does_for_a_managed_key(withdrawn, opened):
    now = timezone.now()
    SigningKey.objects.create(
        number=1,
        kid=opened.claims.kid,
        alg="ES256",
        created_at=now,
        signs_at=now,
        withdrawn_at=now if withdrawn else None,
    )
    assert outcome(lean, opened.claims) == outcome(find_live, opened.claims)
    assert (outcome(lean, opened.claims) == "live") is not withdrawn


def test_so_it_does_at_a_moment_that_is_given(opened):
    moments = [opened.session.expires_at - MINUTE, opened.session.expires_at, timezone.now()]
    for moment in moments:
        assert outcome(lean, opened.claims, now=moment) == outcome(find_live, opened.claims, now=moment)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_down_is_said_so(opened):
    with outage(), pytest.raises(StoreUnavailable):
        lean(opened.claims)


# --- what is recorded


@pytest.mark.parametrize("generation", [None, 1, 2], ids=["none", "older", "newest"])
@pytest.mark.parametrize("confirmed", [1, 2])
@pytest.mark.parametrize("ago", [30, 61])
@pytest.mark.django_db(transaction=True)
def test_a_use_is_recorded_as_with_the_whole_row(generation, confirmed, ago, ada):
    found = []
    for reads_session in (False, True):
        opened = open_session(ada)
        before = database_now() - timedelta(seconds=ago)
        change(opened, generation=2, confirmed_generation=confirmed, last_seen_at=before)
        last_seen.clear()
        claims = replace(opened.claims, gen=generation)
        admit(claims, reads_session=reads_session).record_use()
        now = row(opened)
        found.append((now.confirmed_generation, now.last_seen_at == before, len(last_seen)))
    assert found[0] == found[1]


def test_the_clock_is_read_only_where_something_is_due(opened):
    change(opened, confirmed_generation=1, last_seen_at=timezone.now())
    quiet = find_live_session(opened.claims, opened.session.pk)
    assert (quiet.is_pending, quiet.is_unseen, quiet.now) == (False, False, None)
    change(opened, last_seen_at=timezone.now() - 2 * MINUTE)
    before = database_now()
    due = find_live_session(opened.claims, opened.session.pk)
    assert (due.is_pending, due.is_unseen) == (False, True)
    assert before <= due.now <= database_now()


def test_what_was_found_cannot_be_changed(opened):
    found = find_live_session(opened.claims, opened.session.pk)
    assert isinstance(found, LiveSession)
    with pytest.raises(AttributeError):
        found.subject = "another"


@pytest.mark.django_db(transaction=True)
@pytest.mark.databases("postgresql")
def test_it_is_prepared_on_postgresql(opened):
    connection.close()
    with CaptureQueriesContext(connection) as asked:
        for _ in range(8):
            assert lean(opened.claims).user().pk == opened.session.user_id
    assert [query["sql"].split()[0] for query in asked.captured_queries][-1] == "EXECUTE"
