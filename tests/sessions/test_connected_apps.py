"""authx.sessions.connected_apps: what a user's apps have, and that they are no devices."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from threading import Event

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.db import transaction

from authx.conf import conf, secret_keys
from authx.core.actor import Actor
from authx.core.refresh_token import read_refresh_token
from authx.errors import ChoiceInvalid, OAuthError, SessionEnded, SessionLimitReached
from authx.models import AuthorizationCode, Consent, DeviceSession, SessionEvent
from authx.sessions import (
    Device,
    end_everyone,
    end_session,
    end_sessions,
    end_user_sessions,
    export,
    forget,
    open_session,
)
from authx.sessions.choosing import find_chosen
from authx.sessions.connected_apps import connected_apps, disconnect, was_connected
from authx.sessions.continuing import continue_after_password_change, continue_session
from authx.sessions.credentials import credentials_for
from authx.sessions.limits import over_the_limits
from authx.sessions.liveness import find_live
from authx.sessions.lookup import find_by_refresh_token
from authx.sessions.pruning import mark_expired, prune
from authx.sessions.queries import (
    find_live_session,
    find_own_session,
    live_sessions,
    other_sessions,
    search_sessions,
)
from authx.sessions.refresh_verdicts import judge_token
from authx.sessions.refreshing_clients import refresh_for_client
from authx.sessions.risk import new_context
from tests import granted
from tests.apps import API, connect, consent, issue, make_client, reason_of, serve
from tests.racing import race

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = [{"limit": 1}]
FULL = [{"limit": 1, "when_full": "refuse"}]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

pytestmark = pytest.mark.django_db


@pytest.fixture
def login(ada):
    return open_session(ada, device=Device(id="desk", type="web")).session


@pytest.fixture
def app():
    return make_client()


@pytest.fixture
def reader(app, login):
    """Ada's session of the app."""
    return connect(app, login)


# Apps are no devices (G4)


def test_an_app_takes_no_place_in_a_limit(ada, reader, settings):
    settings.AUTHX_SESSION_LIMITS = FULL
    end_sessions(DeviceSession.objects.first_party(), "logout")
    open_session(ada)
    assert reason_of(reader) == ""


def test_nor_is_it_ended_to_make_room(ada, login, reader, settings):
    settings.AUTHX_SESSION_LIMITS = ONE
    open_session(ada)
    assert (reason_of(login), reason_of(reader)) == ("replaced", "")


def test_an_app_displaces_no_device(ada, app, login, settings):
    settings.AUTHX_SESSION_LIMITS = ONE
    connect(app, login)
    connect(make_client("app-2", "Writer"), login)
    assert reason_of(login) == ""


def test_no_app_is_over_the_limits(login, reader, settings):
    settings.AUTHX_SESSION_LIMITS = ONE
    connect(make_client("app-2", "Writer"), login)
    assert list(over_the_limits()) == []
    out = StringIO()
    call_command("authx_limits", stdout=out)
    assert str(reader.pk) not in out.getvalue()


def test_no_app_is_offered_or_chosen_where_a_limit_is_full(ada, login, reader, settings):
    settings.AUTHX_SESSION_LIMITS = [{**FULL[0], "choose": True}]
    with pytest.raises(SessionLimitReached) as refused:
        open_session(ada)
    assert refused.value.choosable == (login.pk,)
    for live in ([login], [login, reader]):
        with pytest.raises(ChoiceInvalid, match="no such session"):
            find_chosen(login, [reader.pk], live, conf.SESSION_LIMITS)


def test_a_login_from_the_same_device_id_replaces_no_app(ada, reader):
    DeviceSession.objects.filter(pk=reader.pk).update(device_id="desk")
    open_session(ada, device=Device(id="desk", type="web"))
    assert reason_of(reader) == ""


def test_where_an_apps_server_stands_raises_no_alarm(reader, login, settings):
    settings.AUTHX_COUNTRY = "tests.sessions.test_connected_apps.country"
    asked.clear()
    for session in (reader, login):
        session.country, session.user_agent, session.device_label = "DE", FIREFOX, "Firefox on Linux"
    elsewhere = Actor(ip="203.0.113.9", user_agent="curl/8")
    assert new_context(reader, elsewhere) == ([], {})
    assert asked == []
    assert new_context(login, elsewhere)[0] == ["split_context", "new_country"]


asked = []


def country(ip):
    asked.append(ip)
    return "FR"


def test_apps_and_services_are_not_among_the_devices(ada, app, login, reader):
    service = serve(app)
    assert live_sessions(ada) == [login]
    assert [session.user_id for session in (reader, service)] == [ada.pk, None]
    for session in (reader, service):
        assert find_live_session(ada, session.pk) is None
        assert find_own_session(ada, session.pk) is None


def test_ending_the_other_devices_leaves_apps_connected(ada, login, reader):
    phone = open_session(ada).session
    assert end_sessions(other_sessions(ada, login.pk), "ended_by_user") == 1
    assert (reason_of(phone), reason_of(reader)) == ("ended_by_user", "")
    assert end_sessions(other_sessions(ada, None), "ended_by_user") == 1
    assert reason_of(reader) == ""


def test_a_clients_session_is_continued_by_nothing(app, ada, login, reader):
    """It would become a login: the columns that make it a client's are not taken over."""
    with pytest.raises(SessionEnded):
        continue_session(reader, Actor(ada), methods=("pwd",), came_back=True)
    assert reason_of(reader) == ""
    end_user_sessions(ada, "password_changed")
    ended = DeviceSession.objects.select_related("user").get(pk=reader.pk)
    assert continue_after_password_change(ended, Actor(ada), came_back=True) is None
    assert DeviceSession.objects.count() == 2


# What ends them


WAYS = {
    "saved": lambda user: (user.set_password("another-one"), user.save()),
    "saved alone": lambda user: (user.set_password("another-one"), user.save(update_fields=["password"])),
    "everywhere": lambda user: end_user_sessions(user, "password_changed"),
}


@pytest.mark.parametrize("change", WAYS.values(), ids=WAYS)
def test_a_new_password_ends_them(change, ada, login, reader):
    change(ada)
    assert reason_of(reader) == "password_changed"


def test_a_password_changed_in_bulk_ends_an_app_when_it_comes_back(ada, reader):
    """No signal tells of it: the row of the user does, at its next request and at its next refresh."""
    credentials = credentials_for(reader, generation=1, now=reader.created_at)
    find_live(credentials.claims, delegated=True)
    type(ada)._default_manager.filter(pk=ada.pk).update(password=make_password("another-one"))
    token = read_refresh_token(credentials.refresh_token, secret_keys())
    found = find_by_refresh_token(token, client_id="app-1")
    assert judge_token(found.session, token, found.now).end == "password_changed"
    with pytest.raises(SessionEnded) as refused:
        find_live(credentials.claims, delegated=True)
    assert (refused.value.reason, reason_of(reader)) == ("password_changed", "password_changed")


def test_ending_everything_but_this_device_ends_them(ada, login, reader):
    assert end_user_sessions(ada, "credentials_changed", keep=login) == 1
    assert (reason_of(login), reason_of(reader)) == ("", "credentials_changed")


def test_ending_everybody_ends_services_too(app, reader):
    service = serve(app)
    end_everyone("kicked")
    assert (reason_of(reader), reason_of(service)) == ("kicked", "kicked")


def test_a_disabled_user_has_no_apps(ada, reader):
    ada.is_active = False
    ada.save()
    assert reason_of(reader) == "user_disabled"


def test_a_deleted_user_has_no_apps(ada, app, login, reader):
    consent(app, ada)
    issue(app, login)
    ada.delete()
    assert reason_of(reader) == "user_deleted"
    assert not Consent.objects.exists()
    assert not AuthorizationCode.objects.exists()


def test_a_logout_ends_no_app(login, reader):
    end_session(login, "logout")
    assert reason_of(reader) == ""


# What is shown


def test_an_app_is_one_thing_whatever_it_has(ada, app, login, settings):
    settings.AUTHX_SCOPES = {"orders:write": "Change orders", "orders:read": "See your orders"}
    consent(app, ada, scope="orders:read profile", at=START)
    old = connect(app, login, scope="orders:read", now=START + timedelta(days=1))
    new = connect(app, login, scope="orders:write", audience=(API, "urn:x:y"), now=START + timedelta(days=2))
    DeviceSession.objects.of_apps().update(
        idle_expires_at="2100-01-01T00:00Z", expires_at="2100-01-01T00:00Z"
    )
    (shown,) = connected_apps(ada)
    assert [session.pk for session in shown.sessions] == [new.pk, old.pk]
    assert shown.scope == ["orders:write", "orders:read", "profile"]
    assert shown.permissions == ["Change orders", "See your orders", "profile"]
    assert (shown.resources, shown.hosts) == ([API, "urn:x:y"], ["api.shop.example", "urn:x:y"])
    assert (shown.since, shown.last_used_at) == (START, START + timedelta(days=2))


def test_what_is_only_remembered_comes_last(ada, app, login):
    consent(app, ada)
    writer = make_client("app-2", "Writer")
    connect(writer, login)
    shown = connected_apps(ada)
    assert [(one.client, len(one.sessions)) for one in shown] == [(writer, 1), (app, 0)]
    assert shown[1].last_used_at is None
    app.disabled_at = START
    app.save()
    assert [one.client for one in connected_apps(ada)] == [writer]


def test_nobody_sees_anothers_apps(ada, bob, app, reader):
    consent(app, ada)
    serve(app)
    assert connected_apps(bob) == []
    assert was_connected(ada, "app-1")
    assert not was_connected(bob, "app-1")
    assert not was_connected(ada, "app-1\x00")


def test_an_app_whose_client_was_deleted_by_sql_is_still_shown(ada, app, reader):
    app._meta.model.objects.filter(pk=app.pk)._raw_delete("default")
    (shown,) = connected_apps(ada)
    assert (shown.client.client_id, shown.client.name) == ("app-1", "Reader")
    assert disconnect(ada, "app-1") == 1


# Disconnecting


def test_disconnecting_takes_all_that_the_app_has_from_this_user(ada, bob, app, login, reader):
    also, bobs = connect(app, login), connect(app, open_session(bob).session)
    writer = connect(make_client("app-2", "Writer"), login)
    service = serve(app)
    for user, session in ((ada, login), (bob, bobs)):
        consent(app, user)
        issue(app, session, str(user.pk))
    assert disconnect(ada, "app-1", Actor(ada, "203.0.113.9")) == 2
    assert [reason_of(one) for one in (reader, also)] == ["ended_by_user"] * 2
    assert [reason_of(one) for one in (bobs, writer, service, login)] == [""] * 4
    assert [one.user for one in Consent.objects.all()] == [bob]
    assert [one.user for one in AuthorizationCode.objects.all()] == [bob]
    event = SessionEvent.objects.get(session=reader, kind="ended")
    assert (event.actor, event.ip, event.outcome) == (ada, "203.0.113.9", "ended_by_user")
    assert connected_apps(ada)[0].client.client_id == "app-2"
    assert disconnect(ada, "app-1") == 0


@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("inside", [False, True])
def test_a_code_that_is_being_redeemed_cannot_slip_past(inside, ada, app, login):
    """Disconnecting waits for it, also in a transaction of the request, and ends what it has opened."""
    issue(app, login)
    is_under_way, is_done = Event(), Event()

    def redeem():
        with transaction.atomic():
            AuthorizationCode.objects.filter(redeemed_at=None).update(redeemed_at=START)
            is_under_way.set()
            is_done.wait(0.5)
            return connect(app, login)

    def disconnect_meanwhile():
        try:
            with transaction.atomic() if inside else nullcontext():
                assert connected_apps(ada) == []
                assert is_under_way.wait(30)
                return disconnect(ada, "app-1")
        finally:
            is_done.set()

    session, ended = race(redeem, disconnect_meanwhile)
    assert ended == 1
    assert reason_of(session) == "ended_by_user"
    assert not AuthorizationCode.objects.exists()


@pytest.mark.databases("postgresql", "mariadb")
@pytest.mark.django_db(transaction=True)
def test_whatever_comes_first_nothing_of_the_app_is_left(ada, login):
    """Redeeming one code and refreshing by another, while its user disconnects it."""
    client = granted.make_client()
    outcomes = []
    for _ in range(12):
        consent(client, ada)
        token = granted.redeem(client, granted.code_of(client, login)).refresh_token
        code = granted.code_of(client, login)
        redeem = partial(granted.redeem, client, code)
        outcomes += race(
            redeem, partial(refresh_for_client, client, token), partial(disconnect, ada, client.client_id)
        )
        assert connected_apps(ada) == []
        with pytest.raises(OAuthError, match="the code is unknown"):
            redeem()
    others = [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, OAuthError)]
    assert others == []
    assert sum(outcomes[2::3]) >= 12
    assert reason_of(login) == ""


# Personal data


def document(user):
    return json.loads("".join(export(user)))


def test_what_is_remembered_of_consents_is_exported_where_there_is_any(ada, app, reader):
    assert "consents" not in document(ada)
    consent(app, ada, at=START)
    assert document(ada)["consents"] == [
        {
            "client": {"id": "app-1", "name": "Reader"},
            "scope": "orders:read",
            "resources": [API],
            "at": "2026-03-01T12:00:00.000000Z",
        }
    ]


def test_what_a_user_has_granted_is_forgotten(ada, bob, app, login, reader):
    consent(app, ada)
    consent(app, bob)
    issue(app, login)
    assert forget(ada, dry_run=True).grants == 2
    assert Consent.objects.count() == 2
    out = StringIO()
    call_command("authx_forget", key=str(ada.pk), stdout=out)
    assert ", and 2 grants to apps." in out.getvalue()
    assert [one.user for one in Consent.objects.all()] == [bob]
    assert not AuthorizationCode.objects.exists()
    assert reason_of(reader) == ""
    assert forget(ada).total() == 0


def test_a_service_is_nobody_whose_data_could_be_erased(app):
    service = serve(app)
    before = DeviceSession.objects.values().get()
    events = list(SessionEvent.objects.values())
    call_command("authx_prune", pause=0, stdout=StringIO())
    call_command("authx_forget", deleted=True, stdout=StringIO())
    assert DeviceSession.objects.values().get() == before
    assert list(SessionEvent.objects.values()) == events
    assert events[0]["client_id"] == "app-1"
    with pytest.raises(ValueError, match="nobody"):
        export(service.subject)
    with pytest.raises(CommandError, match="no user"):
        call_command("authx_export", key=service.subject, stdout=StringIO())


# Pruning


def test_they_are_pruned_like_any_other(app, login):
    session = connect(app, login, now=START)
    issue(app, login)
    assert sum(mark_expired(10, now=START + timedelta(days=31))) == 1
    assert reason_of(session) == "idle"
    end_session(login, "logout", now=START + timedelta(days=31))
    assert sum(prune(timedelta(days=1), 10, now=START + timedelta(days=60))) == 2
    assert not DeviceSession.objects.exists()
    assert not AuthorizationCode.objects.exists()


# What staff find


def test_staff_find_them_all(ada, app, login, reader):
    service = serve(app)
    found = set(search_sessions(user=None, device_type=None, status=None))
    assert found == {login, reader, service}
    assert set(search_sessions(user=str(ada.pk), device_type=None, status=None)) == {login, reader}
