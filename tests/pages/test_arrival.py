"""Where a login leads: to ``next``, to LOGIN_REDIRECT_URL, and on a site that has set neither to a page."""

import pytest
from django.conf import Settings
from django.conf import settings as django_settings
from django.contrib.auth.views import PasswordChangeDoneView
from django.test import Client
from django.test.utils import override_script_prefix
from django.urls import include, path

from authx.pages.views import LoginView
from tests.urls import urlpatterns as site

pytestmark = pytest.mark.django_db

LOGIN, DEVICES = "/account/login/", "/account/devices/"
DEFAULT = "/accounts/profile/"  # Django's, which no fresh project has


class Profile:
    urlpatterns = [path("accounts/profile/", PasswordChangeDoneView.as_view()), *site]


class LoginAlone:
    """A site with a login page of ours among its own URLs, and no others."""

    urlpatterns = [
        path("sign-in/", LoginView.as_view()),
        path("elsewhere/sign-in/", LoginView.as_view(next_page="/whoami/")),
        path("", PasswordChangeDoneView.as_view()),
    ]


class UnderAnotherName:
    urlpatterns = [path("mine/", include("authx.pages.urls", namespace="mine"))]


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(django_settings, "_wrapped", Settings("tests.settings.fresh"))


def arrive(ada, password, page=LOGIN, **more):
    answer = Client().post(page, {"username": "ada", "password": password, **more})
    assert answer.status_code == 302
    return answer["Location"]


@pytest.fixture
def login(ada, password):
    return lambda page=LOGIN, **more: arrive(ada, password, page, **more)


def test_the_first_sign_in_of_a_fresh_site_ends_on_your_devices(fresh, ada, password):
    browser = Client()
    page = browser.post(LOGIN, {"username": "ada", "password": password}, follow=True)
    assert (page.status_code, page.redirect_chain) == (200, [(DEVICES, 302)])


@pytest.mark.parametrize(
    "url", ["/whoami/", "django-login", DEFAULT, "/nowhere/", "https://elsewhere.example/"]
)
def test_what_the_site_has_set_is_used_even_if_no_page_is_there(login, settings, url):
    """A web server, or another site, may answer there."""
    settings.LOGIN_REDIRECT_URL = url
    assert login() == ("/django-login/" if url == "django-login" else url)


def test_so_is_djangos_default_where_the_site_has_such_a_page(login, fresh, monkeypatch):
    monkeypatch.setattr(django_settings, "ROOT_URLCONF", Profile)
    assert login() == DEFAULT


def test_next_wins(fresh, login):
    assert login(next="/private/?a=1") == "/private/?a=1"
    assert login(f"{LOGIN}?next=/private/") == "/private/"
    assert login(next=DEFAULT) == DEFAULT


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
     "https:///evil.example", "http:evil.example", "///evil.example", "\t//evil.example", ""],
)  # fmt: skip
def test_no_other_host_is_led_to(url, fresh, login):
    assert login(next=url) == DEVICES


def test_a_site_without_your_devices_has_its_root(fresh, login, monkeypatch):
    monkeypatch.setattr(django_settings, "ROOT_URLCONF", LoginAlone)
    assert login("/sign-in/") == "/"


def test_your_devices_are_found_under_another_namespace(fresh, login, monkeypatch):
    monkeypatch.setattr(django_settings, "ROOT_URLCONF", UnderAnotherName)
    assert login("/mine/login/") == "/mine/devices/"


def test_a_page_that_the_view_names_is_used(fresh, login, monkeypatch):
    monkeypatch.setattr(django_settings, "ROOT_URLCONF", LoginAlone)
    assert login("/elsewhere/sign-in/") == "/whoami/"


def test_who_confirms_a_password_arrives_there_too(fresh, ada, password):
    browser = Client()
    browser.post(LOGIN, {"username": "ada", "password": password})
    browser.get("/whoami/")
    assert browser.post("/account/confirm/", {"password": password})["Location"] == DEVICES


def test_a_site_below_a_path_is_led_to_below_it(fresh, ada, password):
    with override_script_prefix("/app/"):  # which a server does, and the test client does not
        assert arrive(ada, password) == f"/app{DEVICES}"
