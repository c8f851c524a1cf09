"""authx.checks.clients: what the settings about clients must agree on."""

from datetime import timedelta

import pytest
from django.core.checks import run_checks

from authx.checks.clients import check_clients
from authx.conf import conf


def ids():
    return sorted(message.id for message in check_clients())


def test_a_site_without_clients_has_nothing_to_mend():
    assert ids() == []


@pytest.mark.django_db
def test_they_are_among_the_checks_of_the_site(settings):
    settings.AUTHX_DEVICE_TYPES = ["web", "service"]
    assert "authx.E035" in {message.id for message in run_checks()}


def test_e032_a_service_token_may_not_outlive_what_is_accepted(settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = timedelta(minutes=2)
    assert ids() == []  # the default follows
    settings.AUTHX_SERVICE_TOKEN_LIFETIME = timedelta(minutes=3)
    assert ids() == ["authx.E032"]
    settings.AUTHX_SERVICE_TOKEN_LIFETIME = timedelta(minutes=2)
    assert ids() == []


@pytest.mark.parametrize("audience", ["https://shop.example", ["x", "https://shop.example"]])
def test_e033_a_clients_token_is_never_for_the_site_itself(audience, settings):
    settings.AUTHX_AUDIENCE = audience
    settings.AUTHX_RESOURCES = {"https://shop.example": [], "https://shop.example/": []}
    (error,) = check_clients()
    assert error.id == "authx.E033"
    assert "'https://shop.example'" in error.msg


def test_e034_users_read_what_each_scope_means(settings):
    settings.AUTHX_SCOPES = {"read": "See it"}
    settings.AUTHX_RESOURCES = {"urn:a": ["read", "write"], "urn:b": ["read"]}
    (error,) = check_clients()
    assert (error.id, "write" in error.msg, "read," in error.msg) == ("authx.E034", True, False)


@pytest.mark.parametrize("type_", ["client", "service"])
def test_e035_no_login_is_of_a_clients_type(type_, settings):
    settings.AUTHX_DEVICE_TYPES = ["web", type_]
    assert ids() == ["authx.E035"]


@pytest.mark.urls("tests.oauth_urls")
@pytest.mark.parametrize(
    ("issuer", "is_good"),
    [
        ("https://id.example", True),
        ("https://id.example/auth", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://localhost", True),
        ("authx", False),
        ("http://id.example", False),
        ("https://", False),
        ("https://id.example/?x=1", False),
        ("https://id.example/#x", False),
        ("ftp://id.example", False),
    ],
)
def test_e036_clients_have_to_know_the_issuer_by_its_url(issuer, is_good, settings):
    settings.AUTHX_ISSUER = issuer
    assert ids() == ([] if is_good else ["authx.E036"])


@pytest.mark.parametrize("urlconf", [None, "no.such.module"])
def test_without_urls_that_can_be_read_nothing_breaks(urlconf, settings):
    """As in the tests of a library, which has no site."""
    if urlconf is None:
        del settings.ROOT_URLCONF
    else:
        settings.ROOT_URLCONF = urlconf
    assert ids() == []


def test_e036_is_no_matter_where_oauth_is_not_mounted(settings):
    settings.AUTHX_ISSUER = "authx"
    assert (ids(), conf.ISSUER) == ([], "authx")


def test_another_check_reports_a_setting_of_the_wrong_type(settings):
    settings.AUTHX_RESOURCES = "urn:a"
    assert ids() == []
