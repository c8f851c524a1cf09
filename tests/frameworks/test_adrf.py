"""adrf: ``authx.contrib.adrf`` in the async views of docs/frameworks.md."""

from datetime import timedelta

import pytest
from adrf.test import AsyncAPIClient
from django.urls import path

from authx.api import authentication
from authx.sessions import end_session
from authx.testing import clock, login_device
from tests.frameworks.sites import shown, site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def views(settings):
    views = shown("# orders/views.py, with adrf")
    patterns = [path("orders/", views.Orders.as_view()), path("reports/", views.Reports.as_view())]
    settings.ROOT_URLCONF = site(*patterns)
    return views


@pytest.fixture(params=[0, 60], ids=["by statement", "by copy"])
def lag(request, settings):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=request.param)
    return request.param


def test_a_caller_is_known_until_the_kick(lag, transport, client, ask, ada):
    session = login_device(client, ada, transport=transport).session
    for _time in range(2):
        answer = ask(client, "/orders/")
        assert (answer.status_code, answer.json()) == (200, {"user": "ada", "sid": str(session.pk)})
    end_session(session, "kicked")
    with clock() as now:
        now.advance(seconds=lag)
        answer = ask(client, "/orders/")
    body = answer.json()
    assert (answer.status_code, body["code"], body["reason"]) == (401, "session_ended", "kicked")


def test_the_packages_own_client_is_signed_in_too(ask, ada):
    client = AsyncAPIClient()
    session = login_device(client, ada).session
    assert "__Host-authx_access" not in client.cookies
    assert ask(client, "/orders/").json()["sid"] == str(session.pk)


def test_a_user_who_was_not_read_is_why_there_are_classes_for_it(views, ask, ada, settings, monkeypatch):
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=60)
    monkeypatch.setattr(views.Orders, "authentication_classes", [authentication.BearerAuthentication])
    client = AsyncAPIClient(raise_request_exception=False)
    login_device(client, ada)
    assert ask(client, "/orders/").status_code == 500


def test_a_cookie_needs_the_csrf_token_and_a_bearer_token_does_not(transport, client, ask, ada, with_token):
    login_device(client, ada, transport=transport)
    body = {"content_type": "application/json", "data": "{}"}
    assert ask(client, "/orders/", "post", **body).status_code == (201 if transport == "bearer" else 403)
    if transport == "cookie":
        headers = with_token(client)
        assert ask(client, "/orders/", "post", headers=headers, **body).status_code == 201


def test_permissions_are_asked(client, ask, ada, settings):
    login_device(client, ada, transport="bearer")
    assert ask(client, "/reports/").status_code == 403
    settings.AUTHX_CLAIMS = "tests.frameworks.test_adrf.roles"
    login_device(client, ada, transport="bearer")
    assert ask(client, "/reports/").status_code == 200


def roles(session):
    return {"roles": ["admin"]}


def test_nobody_gets_our_401(client, ask):
    answer = ask(client, "/orders/")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    answer = ask(client, "/orders/", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_malformed")
