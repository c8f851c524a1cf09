"""authx.api: the site's own DRF settings and its paths do not change what our routes do."""

import unicodedata
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import include, path
from rest_framework.settings import api_settings
from rest_framework.test import APIClient
from rest_framework.versioning import BaseVersioning
from rest_framework.views import APIView

from authx.models import DeviceSession
from authx.sessions import open_session

LOGIN = "/api/auth/login/"
DEFAULTS: list[tuple[str, dict[str, Any]]] = [
    ("path versioning", {"DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.URLPathVersioning"}),
    (
        "namespace versioning",
        {
            "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
            "ALLOWED_VERSIONS": ["v1"],
        },
    ),
    (
        "accept versioning",
        {
            "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
            "ALLOWED_VERSIONS": ["1"],
        },
    ),
    (
        "host versioning",
        {
            "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.HostNameVersioning",
            "ALLOWED_VERSIONS": ["v1"],
        },
    ),
    ("another date format", {"DATETIME_FORMAT": "%d.%m.%Y"}),
    ("dates as they are", {"DATETIME_FORMAT": None}),
    ("no anonymous user", {"UNAUTHENTICATED_USER": None, "UNAUTHENTICATED_TOKEN": None}),
    ("no metadata", {"DEFAULT_METADATA_CLASS": None}),
    ("XML by default", {"DEFAULT_RENDERER_CLASSES": [], "DEFAULT_PARSER_CLASSES": []}),
    (
        "a page of ten",
        {"DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination", "PAGE_SIZE": 10},
    ),
    ("admins only", {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"]}),
    ("own handler", {"EXCEPTION_HANDLER": f"{__name__}.swallow"}),
]


def swallow(exc, context):
    return None


urlpatterns = [
    path("api/<version>/", include("authx.api.urls")),
    path("<slug:sid>/<int:pk>/", include(("authx.api.urls", "other"))),
]


def journey(client, user, password, prefix):
    """Log in, list, refresh, rename and log out; return the answers."""
    body = {"username": user.get_username(), "password": password, "device": {"id": "phone", "type": "ios"}}
    login = client.post(f"{prefix}/login/", body, format="json")
    assert login.status_code == 200, login.content
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {login.json()['access_token']}")
    own = f"{prefix}/sessions/{login.json()['session_id']}/"
    answers = [
        client.get(f"{prefix}/session/"),
        client.get(f"{prefix}/sessions/"),
        client.patch(own, {"name": "Mine"}, format="json"),
        client.post(f"{prefix}/refresh/", {"refresh_token": login.json()["refresh_token"]}, format="json"),
        client.post(f"{prefix}/sessions/end-others/"),
        client.post(f"{prefix}/reauthenticate/", {"password": "wrong"}, format="json"),
        client.delete(own),
        client.get(f"{prefix}/session/"),
    ]
    return login, answers


STATUSES = [200, 200, 200, 200, 200, 401, 204, 401]


#: What DRF's views read from the settings when they are imported.
READ_AT_IMPORT = {
    "DEFAULT_RENDERER_CLASSES": "renderer_classes",
    "DEFAULT_PARSER_CLASSES": "parser_classes",
    "DEFAULT_PERMISSION_CLASSES": "permission_classes",
    "DEFAULT_METADATA_CLASS": "metadata_class",
    "DEFAULT_VERSIONING_CLASS": "versioning_class",
}


@pytest.fixture
def site_defaults(settings, monkeypatch):
    """Set DRF settings as if they had been there when DRF was imported."""

    def use(defaults):
        settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, **defaults}
        for name in defaults.keys() & READ_AT_IMPORT.keys():
            monkeypatch.setattr(APIView, READ_AT_IMPORT[name], getattr(api_settings, name))
        for name in ("allowed_versions", "default_version"):
            monkeypatch.setattr(BaseVersioning, name, getattr(api_settings, name.upper()))

    return use


@pytest.mark.parametrize("defaults", [case[1] for case in DEFAULTS], ids=[case[0] for case in DEFAULTS])
def test_the_sites_defaults_change_nothing(api, ada, password, site_defaults, defaults):
    site_defaults(defaults)
    login, answers = journey(api, ada, password, "/api/auth")
    assert [answer.status_code for answer in answers] == STATUSES
    current = answers[0].json()
    for name in ("created_at", "last_seen_at", "auth_time", "expires_at"):
        assert current[name].endswith("Z")
        assert current[name][10] == "T"
    assert answers[-1].json()["code"] == "session_ended"
    assert login["Cache-Control"] == "no-store"


@pytest.mark.parametrize("scheme", [None, "URLPathVersioning", "AcceptHeaderVersioning"])
def test_routes_work_below_a_path_that_captures(api, ada, password, settings, site_defaults, scheme):
    settings.ROOT_URLCONF = __name__
    site_defaults({"DEFAULT_VERSIONING_CLASS": scheme and f"rest_framework.versioning.{scheme}"})
    _, answers = journey(api, ada, password, "/api/v7")
    assert [answer.status_code for answer in answers] == STATUSES


def test_what_the_path_captures_is_not_taken_for_ours(api, ada, password, settings):
    settings.ROOT_URLCONF = __name__
    _, answers = journey(api, ada, password, "/tenant/5")
    assert [answer.status_code for answer in answers] == STATUSES


# Names


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_name_is_looked_up_as_in_djangos_forms(api, make_user, password, form):
    user = make_user("José")
    name = unicodedata.normalize(form, user.get_username())
    assert api.post(LOGIN, {"username": name, "password": password}).status_code == 200


@pytest.mark.parametrize("spelling", [" {} ", "{}\u00a0", "\t{}", "{}\n"])
def test_white_space_around_a_name_is_stripped_as_in_djangos_forms(api, ada, password, spelling):
    name = spelling.format(ada.get_username())
    by_page = Client().post("/account/login/", {"username": name, "password": password})
    by_api = api.post(LOGIN, {"username": name, "password": password})
    assert (by_page.status_code, by_api.status_code) == (302, 200)


def test_a_name_of_white_space_is_nobodys(api, db):
    assert api.post(LOGIN, {"username": " \u2003", "password": "x"}).status_code in {400, 401}


def test_wide_letters_are_the_same_name(api, make_user, password):
    make_user("ada9")
    model = get_user_model()
    name = model._default_manager.get().get_username().replace("ada9", "ａｄａ９")  # noqa: RUF001
    assert api.post(LOGIN, {"username": name, "password": password}).status_code == 200


# Optional fields


@pytest.mark.parametrize(
    "extra",
    [
        {"device": None},
        {"device": {"id": None, "name": None, "type": None}},
        {"transport": None},
        {"remember": None},
        {"device": None, "transport": None, "remember": None},
    ],
    ids=["device", "all of a device", "transport", "remember", "all"],
)
def test_null_in_an_optional_field_is_the_same_as_leaving_it_out(api, ada, password, extra):
    body = {"username": ada.get_username(), "password": password, **extra}
    plain = api.post(LOGIN, {"username": ada.get_username(), "password": password}, format="json")
    response = api.post(LOGIN, body, format="json")
    assert response.status_code == 200, response.content
    assert response.json().keys() == plain.json().keys()
    first, second = DeviceSession.objects.order_by("created_at")
    assert (first.device_type, first.persistent) == (second.device_type, second.persistent)


@pytest.mark.parametrize("field", ["username", "password"])
def test_null_in_a_required_field_is_refused(api, ada, password, field):
    body = {"username": ada.get_username(), "password": password, field: None}
    assert api.post(LOGIN, body, format="json").status_code == 400


def test_a_kick_without_a_reason_may_say_so(api, admin, ada):
    session = open_session(ada).session
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {open_session(admin).access_token}")
    response = api.post(f"/api/auth/staff/sessions/{session.pk}/kick/", {"reason": None}, format="json")
    assert (response.status_code, response.json()) == (200, {"ended": 1})


# The CSRF token


def test_login_hands_out_the_csrf_token_in_a_header_too(ada, password, settings):
    for setting in ({"CSRF_COOKIE_HTTPONLY": True}, {"CSRF_USE_SESSIONS": True}):
        for name, value in setting.items():
            setattr(settings, name, value)
        browser = Client(enforce_csrf_checks=True)
        token = browser.get(LOGIN, secure=True)["X-CSRFToken"]
        body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
        more = {"content_type": "application/json", "secure": True}
        refused = browser.post(LOGIN, body, **more)
        origin = {"X-CSRFToken": token, "Referer": "https://testserver/"}
        accepted = browser.post(LOGIN, body, headers=origin, **more)
        assert (refused.status_code, accepted.status_code) == (403, 200)


# Requests that another class has authenticated


def test_force_authenticate_works_where_no_session_is_needed(ada):
    session = open_session(ada).session
    client = APIClient()
    client.force_authenticate(ada)
    (listed,) = client.get("/api/auth/sessions/").json()
    assert (listed["id"], listed["current"]) == (str(session.pk), False)
    own = f"/api/auth/sessions/{session.pk}/"
    assert client.patch(own, {"name": "Desk"}, format="json").json()["device"]["name"] == "Desk"
    assert client.delete(own).status_code == 204
    assert DeviceSession.objects.get().end_reason == "ended_by_user"


@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("get", "session/", None),
        ("post", "sessions/end-others/", None),
        ("post", "reauthenticate/", {"password": "x"}),
    ],
    ids=["session", "end-others", "reauthenticate"],
)
def test_force_authenticate_is_refused_where_a_session_is_needed(ada, method, route, body):
    open_session(ada)
    client = APIClient()
    client.force_authenticate(ada)
    response = getattr(client, method)(f"/api/auth/{route}", body, format="json")
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert DeviceSession.objects.get().ended_at is None


def test_force_authenticate_lists_and_kicks_as_staff(admin, ada):
    session = open_session(ada).session
    client = APIClient()
    client.force_authenticate(admin)
    assert [row["current"] for row in client.get("/api/auth/staff/sessions/").json()] == [False]
    assert client.post(f"/api/auth/staff/sessions/{session.pk}/kick/").json() == {"ended": 1}


# Filters


@pytest.mark.parametrize("query", ["user=", "device_type=", "user=&status=all"])
def test_an_empty_filter_finds_nothing(api, admin, ada, query):
    open_session(ada)
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {open_session(admin).access_token}")
    assert api.get(f"/api/auth/staff/sessions/?{query}").json() == []
