"""authx.http.framing: our pages are in nobody's frame, whatever middleware a site has left out."""

import re
from collections import Counter
from uuid import UUID

import pytest
from django.apps import apps
from django.contrib.admin import site
from django.test import Client

from authx.pages.urls import urlpatterns
from authx.sessions import open_session

pytestmark = pytest.mark.django_db

XFRAME = "django.middleware.clickjacking.XFrameOptionsMiddleware"
PATHS = [f"/account/{pattern.pattern}" for pattern in urlpatterns]
PATHS = [path.replace("<uuid:sid>", str(UUID(int=0))) for path in PATHS]


@pytest.fixture
def browser(ada):
    return signed_in(ada)


def answers(client, path):
    return [client.get(path), client.post(path, {"username": "ada", "password": "wrong"})]


def test_this_site_has_left_djangos_middleware_out(settings):
    assert XFRAME not in settings.MIDDLEWARE


def test_there_is_a_page_to_look_at_for_every_route():
    assert len(PATHS) >= 6


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", ["browser", "client"])
def test_every_page_of_ours_refuses_frames_by_itself(path, who, request):
    client = request.getfixturevalue(who)
    for response in answers(client, path):
        if response.status_code != 404:  # Django's page, which does nothing
            assert response["X-Frame-Options"] == "DENY", response.status_code


@pytest.fixture
def admins(admin):
    return signed_in(admin)


def signed_in(user):
    opened = open_session(user)
    client = Client()
    client.cookies["__Host-authx_access"] = opened.access_token
    client.cookies["__Host-authx_refresh"] = opened.refresh_token
    return client


@pytest.mark.parametrize("model", ["devicesession", "signingkey", "serviceclient"])
def test_so_does_every_page_of_ours_in_the_admin(model, admins):
    model_admin = site._registry[apps.get_model("authx", model)]
    paths = {f"/admin/authx/{model}/{url.pattern}" for url in model_admin.urls}
    filled = {re.sub(r"<\w+:(pk|number)>", "1", path) for path in paths}
    filled = {path.replace("<path:object_id>", "1") for path in filled}
    assert len(filled) >= 5
    seen = Counter()
    for path in sorted(filled):
        for response in (admins.get(path), admins.post(path)):
            seen[response.status_code] += 1
            if response.status_code < 400:
                assert response["X-Frame-Options"] == "DENY", path
    assert seen[200] >= 2


def test_the_rest_of_the_admin_is_the_business_of_the_site(admins):
    assert not admins.get("/admin/").has_header("X-Frame-Options")


def test_the_pages_of_the_site_are_its_own_business(browser):
    assert not browser.get("/private/").has_header("X-Frame-Options")


def test_the_site_may_show_them_itself(settings, browser):
    settings.X_FRAME_OPTIONS = "SAMEORIGIN"
    assert browser.get("/account/devices/")["X-Frame-Options"] == "SAMEORIGIN"


def test_beside_the_middleware_nothing_is_said_twice(browser, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, XFRAME]
    assert browser.get("/account/login/")["X-Frame-Options"] == "DENY"
