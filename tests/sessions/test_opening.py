"""authx.sessions.opening: one login on one device, written once, with what is known of both."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory
from rest_framework.views import APIView

from authx import signals
from authx.errors import AuthxError, DeviceInvalid, LoginRefused, SessionEnded, StoreUnavailable
from authx.gate import verify_access_token
from authx.models import DeviceSession, SessionEvent
from authx.sessions import Device, end_session, open_session, recognize, refresh_session
from authx.sessions.opening import set_persistent
from authx.sessions.password_fingerprint import has_fingerprint
from authx.store.database import database_now
from tests.faults_in_database import broken_audit, outage
from tests.rows import row

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = timedelta(minutes=5)
IDLE, LIFE = timedelta(days=7), timedelta(minutes=15)
ABSOLUTE = timedelta(days=30)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture
def request_from_firefox():
    headers = {"user-agent": FIREFOX, "x-forwarded-for": "198.51.100.1"}
    return RequestFactory().post("/login/", REMOTE_ADDR="203.0.113.7", headers=headers)


@pytest.fixture
def announced():
    """What device_session_opened told, and whether it was committed by then."""
    told = []

    def receive(sender, signal, **rest):
        told.append({**rest, "committed": not connection.in_atomic_block})

    signals.device_session_opened.connect(receive)
    yield told
    signals.device_session_opened.disconnect(receive)


def payload(access_token):
    segment = access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(segment + "=="))


# The row


def test_a_login_is_one_row_that_knows_its_user_its_device_and_its_limits(ada, request_from_firefox):
    device = Device(id="laptop-1", name="Ada's laptop", type="desktop")
    opened = open_session(ada, request_from_firefox, device, amr=("pwd", "otp"), now=START)
    session = row(opened.session)
    assert (session.user, session.subject) == (ada, str(ada.pk))
    assert (session.device_id, session.device_name, session.device_type) == (
        "laptop-1",
        "Ada's laptop",
        "desktop",
    )
    assert (session.device_label, session.user_agent) == ("Firefox on Linux", FIREFOX)
    assert session.ip == "203.0.113.7"
    assert session.amr == ["pwd", "otp"]
    assert {session.created_at, session.last_seen_at, session.rotated_at, session.auth_time} == {START}
    assert (session.idle_expires_at, session.expires_at) == (START + IDLE + LIFE, START + ABSOLUTE)
    assert (session.ended_at, session.end_reason, session.ended_by) == (None, "", None)
    assert DeviceSession.objects.count() == 1


def test_it_opens_as_generation_one_which_nobody_has_used_yet(ada):
    session = row(open_session(ada, now=START).session)
    assert (session.generation, session.confirmed_generation) == (1, 0)
    assert session.rotation_state().is_pending


def test_each_login_has_an_id_and_a_salt_of_its_own(ada):
    sessions = [row(open_session(ada, now=START).session) for _ in range(5)]
    assert {session.pk.version for session in sessions} == {7}
    assert len({session.pk for session in sessions}) == 5
    assert {len(bytes(session.salt)) for session in sessions} == {32}
    assert len({bytes(session.salt) for session in sessions}) == 5


def test_the_fingerprint_knows_the_password_and_tells_nothing_of_it(ada, password):
    session = row(open_session(ada, now=START).session)
    assert has_fingerprint(ada, session.fingerprint)
    assert len(session.fingerprint) == 64
    ada.set_password("another")
    assert not has_fingerprint(ada, session.fingerprint)


def test_without_a_request_nothing_is_known_of_the_caller_and_that_is_fine(ada):
    session = row(open_session(ada, now=START).session)
    assert (session.ip, session.user_agent) == (None, "")
    assert (session.device_type, session.device_label) == ("other", "Unknown device")


def test_without_a_type_a_browser_is_web_and_anything_else_other(ada, request_from_firefox):
    curl = RequestFactory().post("/", headers={"user-agent": "curl/8.7.1"})
    assert open_session(ada, request_from_firefox, now=START).session.device_type == "web"
    assert open_session(ada, curl, now=START).session.device_type == "other"


def test_a_request_of_drf_is_as_good_as_djangos(ada, request_from_firefox):
    wrapped = APIView().initialize_request(request_from_firefox)
    session = row(open_session(ada, wrapped, now=START).session)
    assert (session.ip, session.user_agent) == ("203.0.113.7", FIREFOX)


def test_the_time_of_the_proof_may_lie_before_the_login(ada):
    session = row(open_session(ada, auth_time=START - LATER, now=START).session)
    assert (session.auth_time, session.created_at) == (START - LATER, START)


def test_the_lifetimes_are_those_of_the_settings(ada, settings):
    settings.AUTHX_IDLE_LIFETIME = timedelta(hours=2)
    settings.AUTHX_SESSION_LIFETIME = timedelta(hours=8)
    session = row(open_session(ada, now=START).session)
    assert session.idle_expires_at == START + timedelta(hours=2) + timedelta(minutes=15)
    assert session.expires_at == START + timedelta(hours=8)


def test_no_session_may_idle_longer_than_it_may_live(ada, settings):
    settings.AUTHX_SESSION_LIFETIME = timedelta(days=1)
    session = row(open_session(ada, now=START).session)
    assert session.idle_expires_at == session.expires_at == START + timedelta(days=1)


def test_without_an_injected_clock_it_is_the_databases(ada):
    before = database_now()
    opened = open_session(ada)
    assert abs(opened.session.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert before <= opened.session.created_at <= database_now()
    assert recognize(opened.access_token).pk == opened.session.pk


# The device


def test_what_a_device_calls_itself_is_made_one_safe_line_of_at_most_a_hundred(ada):
    spoofed = Device(name="Ada's\r\nphone\u202e \u200b\x1b[2J" + "x" * 200)
    name = row(open_session(ada, device=spoofed, now=START).session).device_name
    assert name.startswith("Ada's phone [2Jxxx")
    assert len(name) == 100


@pytest.mark.parametrize("part", ["id", "name", "type"])
@pytest.mark.parametrize("value", [None, 7, ["web"], b"web"], ids=repr)
def test_a_part_of_a_device_that_is_no_string_is_refused(part, value):
    with pytest.raises(DeviceInvalid, match=part):
        Device(**{part: value})


@pytest.mark.parametrize("id_", ["x" * 129, "a\nb", "a\0b", "\u202eabc", " a", "a ", "\ud800"], ids=ascii)
def test_an_id_that_would_not_come_back_as_it_went_is_refused(id_):
    with pytest.raises(DeviceInvalid, match="id"):
        Device(id=id_)


def test_an_id_of_128_characters_in_any_script_is_kept_as_it_is(ada):
    id_ = "電" * 127 + "é"
    assert row(open_session(ada, device=Device(id=id_), now=START).session).device_id == id_


def test_a_type_that_is_not_listed_is_refused_and_the_listed_ones_are_named(settings):
    with pytest.raises(DeviceInvalid, match="web, ios, android, desktop, other"):
        Device(type="fridge")
    settings.AUTHX_DEVICE_TYPES = ["fridge"]
    assert Device(type="fridge").type == "fridge"
    with pytest.raises(DeviceInvalid):
        Device(type="web")


# The tokens


def test_the_access_token_says_whose_and_which_session_it_is(ada):
    device = Device(id="phone-1", type="ios")
    opened = open_session(ada, device=device, amr=("pwd",), auth_time=START - LATER, now=START)
    said, issued = payload(opened.access_token), int(START.timestamp())
    assert said.pop("jti")
    assert said == {
        "iss": "authx",
        "aud": "authx",
        "sub": str(ada.pk),
        "sid": str(opened.session.pk),
        "gen": 1,
        "iat": issued,
        "nbf": issued,
        "exp": issued + 900,
        "auth_time": issued - 300,
        "amr": ["pwd"],
        "client_id": "first-party",
        "did": "phone-1",
        "dtp": "ios",
    }
    assert verify_access_token(opened.access_token, now=START) == opened.claims


def test_a_device_without_an_id_leaves_that_claim_out(ada):
    assert "did" not in payload(open_session(ada, now=START).access_token)


def test_issuer_audience_and_client_are_those_of_the_settings(ada, settings):
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_AUDIENCE = ["https://api.example", "https://reports.example"]
    settings.AUTHX_CLIENT_ID = "the-site"
    said = payload(open_session(ada, now=START).access_token)
    assert said["iss"] == "https://id.example"
    assert said["aud"] == ["https://api.example", "https://reports.example"]
    assert said["client_id"] == "the-site"


def claims_of_the_site(session):
    return {"roles": ["reader"], "user": session.user.get_username()}


def greedy_claims(session):
    return {"sub": "1"}


def test_the_site_may_add_claims_of_its_own(ada, settings):
    settings.AUTHX_CLAIMS = f"{__name__}.claims_of_the_site"
    said = payload(open_session(ada, now=START).access_token)
    assert (said["roles"], said["user"]) == (["reader"], ada.get_username())


def test_and_may_not_set_ours(ada, settings):
    settings.AUTHX_CLAIMS = f"{__name__}.greedy_claims"
    with pytest.raises(ValueError, match="sub"):
        open_session(ada, now=START)
    assert DeviceSession.objects.count() == 0


def test_no_access_token_outlives_its_session(ada, settings):
    settings.AUTHX_SESSION_LIFETIME = settings.AUTHX_IDLE_LIFETIME = timedelta(minutes=2)
    opened = open_session(ada, now=START)
    assert opened.claims.expires_at == START + timedelta(minutes=2)
    assert (opened.expires_in, opened.refresh_expires_in) == (120, 120)


def test_the_lifetimes_are_told_in_seconds(ada):
    opened = open_session(ada, now=START)
    assert (opened.expires_in, opened.refresh_expires_in) == (900, 7 * 86400 + 900)


def test_no_token_shows_in_a_repr(ada):
    opened = open_session(ada, now=START)
    for secret in (opened.access_token, opened.refresh_token):
        assert not [part for part in secret.split(".") if part in repr(opened)]


# Whom it is opened for


@pytest.fixture
def unsaved(ada):
    ada.pk = None
    return ada


@pytest.fixture
def inactive(make_user):
    return make_user("ines", is_active=False)


@pytest.fixture
def nobody():
    return AnonymousUser()


@pytest.mark.parametrize("who", ["unsaved", "inactive", "nobody"])
def test_who_cannot_have_a_session_is_refused_and_nothing_is_written(who, db, request):
    with pytest.raises(LoginRefused):
        open_session(request.getfixturevalue(who), now=START)
    assert DeviceSession.objects.count() == 0


def test_there_is_no_session_for_none(db):
    with pytest.raises(LoginRefused):
        open_session(None, now=START)


# What it takes over


def test_t12_the_session_whose_cookies_are_overwritten_ends_as_superseded(ada):
    old = open_session(ada, now=START)
    new = open_session(ada, overwrites=old.session, now=START + LATER)
    ended = row(old.session)
    assert (ended.ended_at, ended.end_reason, ended.ended_by) == (START + LATER, "superseded", ada)
    assert SessionEvent.objects.get(session=old.session.pk, kind="ended").outcome == "superseded"
    assert row(new.session).ended_at is None


def test_t12_even_if_it_was_somebody_elses_browser_before(ada, bob):
    old = open_session(ada, now=START)
    open_session(bob, overwrites=old.session, now=START + LATER)
    assert (row(old.session).end_reason, row(old.session).ended_by) == ("superseded", bob)


def test_t12_a_session_that_had_ended_keeps_its_reason(ada):
    old = open_session(ada, now=START)
    end_session(old.session, "kicked", now=START)
    open_session(ada, overwrites=old.session, now=START + LATER)
    assert row(old.session).end_reason == "kicked"


def test_a_login_from_a_known_device_replaces_its_older_session(ada):
    device = Device(id="phone-1", type="ios")
    old = open_session(ada, device=device, now=START)
    new = open_session(ada, device=device, now=START + LATER)
    ended = row(old.session)
    assert (ended.end_reason, ended.replaced_by, ended.ended_by) == ("replaced", "ios", ada)
    with pytest.raises(SessionEnded) as refused:
        refresh_session(old.refresh_token, now=START + LATER)
    assert (refused.value.reason, refused.value.replaced_by) == ("replaced", "ios")
    assert row(new.session).ended_at is None


def test_the_same_device_id_of_another_user_is_another_device(ada, bob):
    device = Device(id="kiosk")
    first = open_session(ada, device=device, now=START)
    open_session(bob, device=device, now=START + LATER)
    assert row(first.session).ended_at is None


def test_devices_without_an_id_do_not_replace_each_other(ada):
    first = open_session(ada, now=START)
    open_session(ada, now=START + LATER)
    assert row(first.session).ended_at is None


def test_a_django_session_is_adopted_once_ever(ada):
    open_session(ada, adopted_from="f" * 64, now=START)
    with pytest.raises(LoginRefused), transaction.atomic():
        open_session(ada, adopted_from="f" * 64, now=START + LATER)
    assert DeviceSession.objects.count() == 1
    assert SessionEvent.objects.count() == 1


def test_t12_a_session_of_the_same_device_that_is_overwritten_is_superseded_rather_than_replaced(ada):
    device = Device(id="browser-1")
    old = open_session(ada, device=device, now=START)
    open_session(ada, device=device, overwrites=old.session, now=START + LATER)
    assert row(old.session).end_reason == "superseded"
    assert SessionEvent.objects.filter(session=old.session.pk, kind="ended").count() == 1


# Its event and its announcement


def test_the_opening_is_audited_with_who_and_where(ada, request_from_firefox):
    opened = open_session(ada, request_from_firefox, now=START)
    event = SessionEvent.objects.get()
    assert (event.session_id, event.kind, event.at) == (opened.session.pk, "opened", START)
    assert (event.actor, event.actor_label) == (ada, ada.get_username())
    assert (event.ip, event.user_agent) == ("203.0.113.7", FIREFOX)


@pytest.mark.django_db(transaction=True)
def test_it_is_announced_once_it_is_committed(ada, request_from_firefox, announced):
    with transaction.atomic():
        opened = open_session(ada, request_from_firefox, now=START)
        assert announced == []
    told = {"session": opened.session, "user": ada, "request": request_from_firefox, "is_new": False}
    told["committed"] = True
    assert announced == [told]


@pytest.mark.django_db(transaction=True)
def test_a_login_that_is_rolled_back_never_was(ada, announced):
    with transaction.atomic():
        opened = open_session(ada, now=START)
        transaction.set_rollback(True)
    assert announced == []
    assert DeviceSession.objects.count() == SessionEvent.objects.count() == 0
    with pytest.raises(SessionEnded):
        verify_access_token(opened.access_token, now=START)


@pytest.mark.django_db(transaction=True)
def test_a_login_that_cannot_be_audited_does_not_happen(ada, announced):
    with broken_audit(), pytest.raises((DatabaseError, StoreUnavailable)):
        open_session(ada, now=START)
    assert (DeviceSession.objects.count(), announced) == (0, [])


@pytest.mark.django_db(transaction=True)
def test_a_login_that_cannot_be_audited_takes_nothing_over(ada):
    old = open_session(ada, device=Device(id="phone-1"), now=START)
    with broken_audit(), pytest.raises((DatabaseError, StoreUnavailable)):
        open_session(ada, device=Device(id="phone-1"), overwrites=old.session, now=START + LATER)
    assert row(old.session).ended_at is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("clock", [None, START], ids=["the database's clock", "an injected one"])
def test_without_a_database_no_session_is_opened(ada, announced, clock):
    with outage(), pytest.raises(StoreUnavailable):
        open_session(ada, now=clock)
    assert (DeviceSession.objects.count(), announced) == (0, [])


# Afterwards


def test_whether_cookies_outlive_the_browser_is_remembered_and_may_be_changed(ada):
    opened = open_session(ada, persistent=False, now=START)
    assert row(opened.session).persistent is False
    set_persistent(opened.session, True)
    assert row(opened.session).persistent is True
    assert open_session(ada, now=START).session.persistent is True


def test_an_error_of_the_login_is_one_of_ours_with_a_word_of_its_own():
    codes = {error: error.code for error in (DeviceInvalid, LoginRefused)}
    assert all(issubclass(error, AuthxError) for error in codes)
    assert codes == {DeviceInvalid: "device_invalid", LoginRefused: "invalid_credentials"}


def test_the_id_of_a_session_is_public_and_the_same_in_row_and_token(ada):
    opened = open_session(ada, now=START)
    assert UUID(opened.claims.sid) == row(opened.session).pk
