"""The checks of notices: mail has to lead somewhere, and to reach somebody."""

from types import ModuleType

import pytest
from django.contrib import admin
from django.core.checks import run_checks
from django.urls import include, path

from authx.checks.notices import check_notices
from authx.checks.together import check_together
from authx.notices import links


def nothing(request):
    raise AssertionError("not asked")


def site(*names):
    """A URLconf with our pages or without, and a page for a forgotten password or none."""
    found = ModuleType("site_of_the_test")
    found.urlpatterns = [path("admin/", admin.site.urls)]
    if "pages" in names:
        found.urlpatterns.append(path("account/", include("authx.pages.urls")))
    if "password_reset" in names:
        found.urlpatterns.append(path("reset/", nothing, name="password_reset"))
    return found


def ids(messages):
    return [message.id for message in messages]


@pytest.fixture
def mailing(settings):
    settings.AUTHX_NOTICE_MAIL = True
    settings.AUTHX_ISSUER = "https://shop.example"
    settings.ROOT_URLCONF = site("pages", "password_reset")
    return settings


def test_nothing_is_asked_where_no_mail_is_sent(settings):
    settings.ROOT_URLCONF = site()
    for value in (False, [], ()):
        settings.AUTHX_NOTICE_MAIL = value
        assert check_notices() == []


def test_a_site_that_can_send_it_is_fine(mailing):
    assert check_notices() == []


@pytest.mark.parametrize(
    "issuer", ["authx", "http://shop.example", "https://", "ftp://shop.example", "https://[x"]
)
def test_links_need_the_address_of_the_site(mailing, issuer):
    mailing.AUTHX_ISSUER = issuer
    assert ids(check_notices()) == ["authx.E060"]


def test_http_will_do_in_development(mailing):
    mailing.AUTHX_ISSUER, mailing.DEBUG = "http://localhost:8000", True
    assert check_notices() == []


def test_a_user_model_needs_an_address(mailing, monkeypatch):
    from django.contrib.auth import get_user_model

    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", "no_such_column")
    assert ids(check_notices()) == ["authx.E061"]


def test_the_pages_that_it_leads_to_should_be_there(mailing):
    mailing.ROOT_URLCONF = site("pages")
    assert ids(check_notices()) == ["authx.W063"]
    mailing.ROOT_URLCONF = site("password_reset")
    assert ids(check_notices()) == ["authx.W062"]


@pytest.mark.django_db
def test_they_are_registered(mailing):
    mailing.ROOT_URLCONF = site("pages")
    assert "authx.W063" in ids(run_checks())


@pytest.mark.parametrize("value", ["new_device", None, 1, ["newdevice"], [True], {"mail": True}, [[]]])
def test_a_wrong_value_is_an_error_of_its_setting(mailing, value):
    mailing.AUTHX_NOTICE_MAIL = value
    from authx.checks import check_settings

    assert ids(check_settings()) == ["authx.E001"]
    assert check_notices() == []


def test_a_wrong_path_to_the_language_is_an_error(mailing):
    mailing.AUTHX_NOTICE_LANGUAGE = "no.such.function"
    assert ids(check_together()) == ["authx.E011"]


@pytest.mark.parametrize("name", ["password_reset", "account_reset_password"])
def test_the_page_has_the_name_that_django_or_allauth_gives_it(mailing, name):
    mailing.ROOT_URLCONF = site("pages")
    mailing.ROOT_URLCONF.urlpatterns.append(path("reset/", nothing, name=name))
    assert check_notices() == []
    assert links.password_reset_url() == "https://shop.example/reset/"
