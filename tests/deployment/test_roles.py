"""The database roles of docs/deployment.md: with them everything works, and what they must not do fails."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from authx.errors import RefreshConflict, RefreshReused, SessionEnded
from authx.models import (
    AuthorizationCode,
    Consent,
    DeviceSession,
    NotBeforeMark,
    RevocationLogEntry,
    SessionEvent,
    SigningKey,
    UsedTicket,
)
from authx.sessions import end_session, forget, open_session, refresh_session
from authx.signals import notice
from tests.documented import documented
from tests.oauth import conftest as oauth
from tests.oauth.flow import basic, post, tokens_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.databases("postgresql", "mariadb"),
    pytest.mark.user_model("auth.User"),
]

app, make_client = oauth.app, oauth.make_client
LATER = timedelta(minutes=2)


@pytest.fixture(scope="module")
def roles(django_db_setup, django_db_blocker):
    """Both roles, as the page makes them, for this database; gone afterwards."""
    is_postgresql = connection.vendor == "postgresql"
    text = documented("deployment.md", "sql", "LOGIN PASSWORD" if is_postgresql else "IDENTIFIED BY")
    database = connection.settings_dict["NAME"]
    suffix = re.sub(r"\W", "_", database)[-12:]
    names = {name: f"{name}_{suffix}" for name in ("site", "site_prune")}
    text = re.sub(r"\bsite\.", f"`{database}`.", text)
    text = re.sub(r"\b(site|site_prune)(?=[;@]| LOGIN)", lambda found: names[found[1]], text)
    if is_postgresql:
        drop = [f"DROP OWNED BY {name}; DROP ROLE {name}" for name in names.values()]
    else:
        drop = [f"DROP USER {name}@'%'" for name in names.values()]
    with django_db_blocker.unblock():
        run(text)
    yield {"site": (names["site"], "one"), "site_prune": (names["site_prune"], "two")}
    with django_db_blocker.unblock():
        run(";".join(drop))


def run(text):
    with connection.cursor() as cursor:
        for statement in filter(str.strip, text.split(";")):
            cursor.execute(statement)


@contextmanager
def connected_as(role):
    """Everything that this connection does is done as the role."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(zip(("USER", "PASSWORD"), role, strict=True))
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@pytest.fixture
def authorization_server(settings):
    settings.ROOT_URLCONF = "tests.oauth_urls"
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_SCOPES = oauth.SCOPES
    settings.AUTHX_RESOURCES = {oauth.API: [*oauth.SCOPES]}


def api_of(token=None):
    client = APIClient()
    if token is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def sign_in_refresh_and_leave(make_user, password):
    make_user("ada")
    browser, form = Client(), {"username": "ada", "password": password}
    assert browser.post("/account/login/", {**form, "password": "wrong"}).status_code == 200
    assert browser.post("/account/login/", form).status_code == 302
    tokens = api_of().post("/api/auth/login/", {**form, "device": {"id": "phone"}}).json()
    api = api_of(tokens["access_token"])
    assert len(api.get("/api/auth/sessions/").json()) == 2
    answer = api.post("/api/auth/socket-ticket/", HTTP_ORIGIN="http://testserver")
    assert answer.status_code == 200
    assert api.post("/api/auth/reauthenticate/", {"password": password}).status_code == 200
    assert browser.post("/account/logout/").status_code == 200


def refresh_late_and_twice(make_user, password):
    opened = open_session(make_user("bea"))
    later = opened.session.created_at + LATER
    newer = refresh_session(opened.refresh_token, now=later)
    DeviceSession.objects.filter(pk=opened.session.pk).update(confirmed_generation=2)
    with pytest.raises(RefreshConflict):
        refresh_session(opened.refresh_token, now=later + LATER)
    with pytest.raises(RefreshReused):
        refresh_session(opened.refresh_token, now=later + 2 * LATER)
    with pytest.raises(SessionEnded):
        refresh_session(newer.refresh_token, now=later + 2 * LATER)


def full_limits_make_room(make_user, password):
    user = make_user("cleo")
    with override_settings(AUTHX_SESSION_LIMITS=[{"limit": 1, "when_full": "end_oldest"}]):
        first, _second = open_session(user).session, open_session(user)
    first.refresh_from_db()
    assert first.end_reason == "replaced"
    asks = [{"limit": 1, "when_full": "refuse", "choose": True}]
    with override_settings(AUTHX_SESSION_LIMITS=asks):
        full = api_of().post("/api/auth/login/", {"username": "cleo", "password": password})
        assert full.status_code == 409
        offered = full.json()
        chosen = {"proof": offered["proof"], "end": offered["sessions"][0]["id"]}
        assert api_of().post("/api/auth/login/", chosen).status_code == 200
        assert api_of().post("/api/auth/login/", chosen).status_code == 401


def staff_kick_one_and_everywhere(make_user, password):
    user, staff = make_user("dora"), make_user("staff", is_staff=True, is_superuser=True)
    first, second = open_session(user).session, open_session(user).session
    other = api_of(open_session(make_user("other", is_staff=True)).access_token)
    assert other.post(f"/api/auth/staff/sessions/{first.pk}/kick/").status_code == 403
    api = api_of(open_session(staff).access_token)
    assert api.post(f"/api/auth/staff/sessions/{first.pk}/kick/").json() == {"ended": 1}
    assert api.post(f"/api/auth/staff/users/{user.pk}/kick/").json() == {"ended": 1}
    second.refresh_from_db()
    assert second.end_reason == "kicked"
    assert RevocationLogEntry.objects.exists()
    assert NotBeforeMark.objects.exists()


def a_password_change_and_a_ban_end_sessions(make_user, password):
    eve, fay = make_user("eve"), make_user("fay")
    of_eve, of_fay = open_session(eve).session, open_session(fay).session
    eve.set_password("another")
    eve.save()
    fay.is_active = False
    fay.save()
    of_eve.refresh_from_db()
    of_fay.refresh_from_db()
    assert (of_eve.end_reason, of_fay.end_reason) == ("password_changed", "user_disabled")


def apps_are_let_in_and_disconnected(make_user, password):
    user, browser = make_user("gil"), Client()
    browser.post("/account/login/", {"username": "gil", "password": password})
    tokens_of(browser)
    tokens = tokens_of(browser, scope="orders:read orders:write")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert post(form, basic()).status_code == 200
    api = api_of(open_session(user).access_token)
    found = api.get("/api/auth/connected-apps/").json()
    assert api.delete(f"/api/auth/connected-apps/{found[0]['id']}/").status_code == 204
    assert not AuthorizationCode.objects.exists()
    assert not Consent.objects.exists()


def people_are_told_once_an_hour(make_user, password):
    told = []

    def hear(sender, notice, **kwargs):
        told.append(notice)

    user = make_user("hal")
    notice.connect(hear)
    try:
        for _ in range(2):
            user.set_password(password)
            user.save()
    finally:
        notice.disconnect(hear)
    assert len(told) == 1
    assert forget(user).notices == 1


def keys_rotate_and_the_worker_is_ready(make_user, password):
    call_command("authx_keys", "rotate", stdout=io.StringIO())
    assert Client().get("/.well-known/authx-ready").status_code == 200
    assert SigningKey.objects.exists()


#: As the role, but for people, who register by rights that are the site's to give.
SCENES = [
    sign_in_refresh_and_leave,
    refresh_late_and_twice,
    full_limits_make_room,
    staff_kick_one_and_everywhere,
    a_password_change_and_a_ban_end_sessions,
    apps_are_let_in_and_disconnected,
    people_are_told_once_an_hour,
    keys_rotate_and_the_worker_is_ready,
]


def test_everything_works_as_the_role_of_the_site(roles, authorization_server, app, make_user, password):
    grant(roles, "INSERT", ["auth_user"])
    with connected_as(roles["site"]):
        for scene in SCENES:
            scene(make_user, password)
    assert set(SessionEvent.objects.values_list("kind", flat=True)) >= {
        *("opened", "refreshed", "ended", "login_failed", "late_replay", "flagged", "reauthenticated")
    }


def grant(roles, rights, tables):
    name = roles["site"][0]
    grantee = name if connection.vendor == "postgresql" else f"{name}@'%'"
    run(";".join(f"GRANT {rights} ON {table} TO {grantee}" for table in tables))


def test_a_user_who_deletes_the_account_is_erased(roles, ada):
    """By rights to delete what hangs on a user, none of which is ours."""
    open_session(ada)
    hanging = ["auth_user", "auth_user_groups", "auth_user_user_permissions", "django_admin_log"]
    grant(roles, "SELECT, UPDATE, DELETE", [*hanging, "site_sitesession"])
    with connected_as(roles["site"]):
        ada.delete()
    session = DeviceSession.objects.get()
    assert (session.end_reason, session.user, session.ip) == ("user_deleted", None, None)


def test_the_servers_can_take_nothing_out_of_the_trail(roles, ada):
    end_session(open_session(ada).session, "kicked")
    forbidden = [
        "DELETE FROM authx_sessionevent",
        "DELETE FROM authx_devicesession",
        "DELETE FROM authx_revocationlogentry",
        "UPDATE authx_revocationlogentry SET value = ''",
        "DELETE FROM authx_usedticket",
        "DROP TABLE authx_consent",
        "CREATE TABLE of_theirs (number integer)",
    ]
    with connected_as(roles["site"]):
        for statement in forbidden:
            with pytest.raises(DatabaseError), transaction.atomic():
                run(statement)
    assert SessionEvent.objects.count() == 2


def test_pruning_has_a_role_of_its_own(roles, ada, bob):
    long_ago = timezone.now() - timedelta(days=400)
    old = open_session(ada, now=long_ago).session
    end_session(old, "kicked", now=long_ago)
    expired = open_session(bob, now=timezone.now() - timedelta(days=31)).session
    UsedTicket.objects.create(name="used", at=long_ago)
    RevocationLogEntry.objects.update(at=long_ago)
    with connected_as(roles["site_prune"]):
        call_command("authx_prune", pause=0.0, stdout=io.StringIO())
        with pytest.raises(DatabaseError), transaction.atomic():
            run("UPDATE auth_user SET is_superuser = is_superuser")
    assert list(DeviceSession.objects.values_list("pk", "end_reason")) == [(expired.pk, "idle")]
    assert not UsedTicket.objects.exists()
    assert not RevocationLogEntry.objects.filter(at=long_ago).exists()
