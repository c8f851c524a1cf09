"""Clients in the admin: a form that tells at each field what is wrong, and what follows from it."""

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from authx.core.keys import Key
from authx.core.oauth_client import TOKEN_EXCHANGE
from authx.issuer import create_client, disable_client
from authx.models import DeviceSession, ServiceClient, SessionEvent
from authx.sessions import open_session
from tests.clients import find_service, open_granted_session

LIST = "/admin/authx/serviceclient/"
API, OTHER = "https://api.example/", "https://other.example/"
CALLBACK = "https://app.example/done"
APP = {"name": "Reader", "auth_method": "client_secret", "redirect_uris": CALLBACK, "resources": API}

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(admin):
    client = Client()
    client.force_login(admin)
    return client


@pytest.fixture
def app():
    return create_client("Reader", redirect_uris=[CALLBACK], resources=[API], scope="orders:read")[0]


def change(client):
    return f"{LIST}{client.pk}/change/"


def errors_at(answer):
    """Return the names of the fields that the page shows errors at."""
    errors = answer.context_data["adminform"].form.errors
    page = answer.content.decode()
    return {name for name in errors if f'id="id_{name}_error"' in page}


def made():
    return ServiceClient.objects.get()


# --- registering


def test_an_app_is_registered_by_the_form(desk, settings):
    settings.AUTHX_SCOPES = {"orders:read": "See your orders"}
    form = APP | {
        "scope": "orders:read",
        "resources": f"{API}\r\n\r\n {OTHER} ",
        "idle_lifetime": "7 00:00:00",
    }
    answer = desk.post(LIST + "add/", form)
    assert answer.status_code == 200
    client = made()
    assert (client.redirect_uris, client.resources, client.scope) == ([CALLBACK], [API, OTHER], "orders:read")
    assert client.grant_types == ["authorization_code", "refresh_token"]
    assert client.idle_lifetime.days == 7
    secret = answer.content.decode().partition("client_secret ")[2].partition("<")[0]
    assert find_service(client.client_id, secret) == client
    assert LogEntry.objects.get().get_change_message() == "Created."


def test_a_client_without_a_secret_is_shown_none(desk):
    answer = desk.post(LIST + "add/", APP | {"auth_method": "none"}, follow=True)
    assert f"Its client id is {made().client_id}" in answer.content.decode()
    assert made().secret_hash == ""


def test_a_client_with_keys(desk):
    jwks = json.dumps({"keys": [Key.derive(b"x" * 32).public_jwk()]})
    desk.post(LIST + "add/", {"name": "signer", "auth_method": "private_key_jwt", "jwks": jwks})
    assert made().jwks == json.loads(jwks)
    assert desk.get(change(made())).status_code == 200


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"redirect_uris": "http://app.example/", "resources": ""}, {"redirect_uris", "resources"}),
        ({"redirect_uris": "javascript:alert(1)"}, {"redirect_uris"}),
        ({"scope": 'a"'}, {"scope"}),
        ({"jwks": "{", "auth_method": "private_key_jwt"}, {"jwks"}),
        ({"jwks": "[]", "auth_method": "private_key_jwt"}, {"jwks"}),
        ({"auth_method": "private_key_jwt"}, {"jwks"}),
        ({"jwks_uri": "http://x/", "auth_method": "private_key_jwt"}, {"jwks_uri"}),
        ({"auth_method": "tls"}, {"auth_method"}),
        ({"may_call": ["nobody"]}, {"may_call"}),
        ({"grant_types": ["password"]}, {"grant_types"}),
        ({"grant_types": ["refresh_token"]}, {"grant_types"}),
        ({"origins": "app.example"}, {"origins"}),
        ({"idle_lifetime": "long"}, {"idle_lifetime"}),
        ({"session_lifetime": "-1:00:00"}, {"session_lifetime"}),
        ({"audience": "x" * 256}, {"audience"}),
        ({"audience": "a\x00b"}, {"audience"}),
        ({"redirect_uris": "\x00"}, {"redirect_uris"}),
        ({"audience": OTHER}, {"audience"}),
    ],
)
def test_what_is_wrong_is_told_at_its_field(desk, given, fields):
    create_client("stock", audience=OTHER)
    answer = desk.post(LIST + "add/", APP | given)
    assert answer.status_code == 200
    assert errors_at(answer) == fields
    assert ServiceClient.objects.count() == 1


def test_what_was_typed_is_kept_and_escaped(desk):
    answer = desk.post(LIST + "add/", APP | {"redirect_uris": "https://x/<script>\nhttps://b.example/"})
    page = answer.content.decode()
    assert "https://x/&lt;script&gt;\nhttps://b.example/" in page
    assert "<script>\nhttps" not in page


def test_what_the_settings_offer_is_shown_and_escaped(desk, settings):
    settings.AUTHX_SCOPES = {"<b>": "Bold"}
    page = desk.get(LIST + "add/").content.decode()
    assert "<code>&lt;b&gt;</code>" in page


# --- changing


def test_a_client_is_changed(desk, app):
    page = desk.get(change(app)).content.decode()
    assert CALLBACK in page
    assert app.secret_hash not in page
    stock, _ = create_client("stock", audience=OTHER)
    form = APP | {"name": "Reader 2", "audience": API, "may_call": [stock.client_id], "trusted": "on"}
    answer = desk.post(change(app), form)
    assert answer.status_code == 302
    app.refresh_from_db()
    assert (app.name, app.audience, app.may_call, app.trusted) == ("Reader 2", API, [stock.client_id], True)
    assert app.grant_types[-1] == TOKEN_EXCHANGE
    assert "name" in LogEntry.objects.get().get_change_message()


def test_saving_what_is_shown_changes_nothing(desk, app):
    before = ServiceClient.objects.values().get()
    form = desk.get(change(app)).context["form"]
    shown = {name: form[name].value() for name in form.fields}
    assert desk.post(change(app), {name: value for name, value in shown.items() if value}).status_code == 302
    assert ServiceClient.objects.values().get() == before


def test_a_change_that_is_refused_changes_nothing(desk, app):
    answer = desk.post(change(app), APP | {"redirect_uris": "ftp://x/"})
    assert errors_at(answer) == {"redirect_uris"}
    assert ServiceClient.objects.get().redirect_uris == [CALLBACK]


def test_a_client_that_gets_secrets_is_told_to_renew_it(desk):
    public, _ = create_client("Phone", auth_method="none", redirect_uris=[CALLBACK], resources=[API])
    assert "/renew/" not in desk.get(change(public)).content.decode()
    assert desk.post(f"{LIST}{public.pk}/renew/").status_code == 404
    answer = desk.post(change(public), APP, follow=True)
    assert "It has no secret yet" in answer.content.decode()
    assert desk.post(f"{LIST}{public.pk}/renew/").status_code == 200


def test_who_may_only_look_sees_it_as_text(staff, app):
    staff.user_permissions.add(Permission.objects.get(codename="view_serviceclient"))
    client = Client()
    client.force_login(staff)
    page = client.get(change(app)).content.decode()
    assert CALLBACK in page
    assert app.secret_hash not in page
    assert 'name="redirect_uris"' not in page
    assert client.post(change(app), APP | {"name": "Other"}).status_code == 403
    assert ServiceClient.objects.get().name == "Reader"


@pytest.mark.parametrize("key", ["999", "x", "%00"])
def test_a_client_that_is_not_there(desk, key):
    assert desk.get(f"{LIST}{key}/change/").status_code in {302, 404}


# --- disabling


def test_disabling_tells_how_many_sessions_end_and_ends_them(desk, app, ada, admin):
    open_granted_session(app, open_session(ada).session, scope="", audience=[API], refreshable=True)
    assert "1 live session, which ends" in desk.get(f"{LIST}{app.pk}/disable/").content.decode()
    assert desk.post(f"{LIST}{app.pk}/disable/").status_code == 302
    assert DeviceSession.objects.get(client_id=app.client_id).end_reason == "kicked"
    assert SessionEvent.objects.get(kind="ended").actor == admin


def test_it_is_enabled_with_the_secret_that_it_had(desk):
    client, secret = create_client("orders")
    disable_client(client)
    assert find_service(client.client_id, secret) is None
    assert "let orders in again" in desk.get(f"{LIST}{client.pk}/enable/").content.decode()
    assert ServiceClient.objects.get().disabled_at is not None
    assert desk.post(f"{LIST}{client.pk}/enable/").status_code == 302
    assert find_service(client.client_id, secret) == client


# --- the list


def test_the_list_is_filtered_by_kind_and_state(desk, app):
    create_client("Phone", auth_method="none", redirect_uris=[CALLBACK], resources=[API])
    disable_client(create_client("orders")[0])

    def shown(**query):
        return {row.name for row in desk.get(LIST, query).context["cl"].queryset}

    assert shown() == {"Reader", "Phone", "orders"}
    assert shown(kind="app") == {"Reader", "Phone"}
    assert shown(kind="public") == {"Phone"}
    assert shown(kind="service") == shown(state="disabled") == {"orders"}
    assert shown(state="active") == {"Reader", "Phone"}
    assert shown(kind="nonsense") == {"Reader", "Phone", "orders"}
    assert shown(q="Rea") == {"Reader"}
