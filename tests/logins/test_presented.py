"""authx.logins.presented: what two cookies hold, which counts, and whether to renew."""

import sys
from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter

from authx.errors import RefreshMalformed, TokenExpired, TokenMalformed
from authx.logins.presented import Presented, presented_by
from authx.sessions import open_session
from authx.sessions.credentials import credentials_for

pytestmark = pytest.mark.django_db

ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"


@pytest.fixture
def credentials(ada):
    return open_session(ada)


def presented(access=None, refresh=None):
    request = RequestFactory().get("/")
    sent = {ACCESS: access, REFRESH: refresh}
    request.META["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in sent.items() if value)
    return presented_by(request)


def expired(credentials):
    then = timezone.now() - timedelta(days=1)
    return credentials_for(credentials.session, generation=1, now=then).access_token


def test_nothing_is_presented_where_nothing_was_sent():
    assert presented() == Presented()


def test_both_of_one_session(credentials, django_assert_num_queries):
    with django_assert_num_queries(0):
        found = presented(credentials.access_token, credentials.refresh_token)
    assert (found.access, found.refresh.sid) == (credentials.claims, credentials.session.pk)
    assert (found.access_error, found.refresh_error, found.is_due) == (None, None, False)


def test_an_access_token_alone_counts_and_cannot_be_renewed(credentials):
    found = presented(credentials.access_token)
    assert (found.access, found.refresh, found.is_due) == (credentials.claims, None, False)


def test_a_refresh_token_alone_is_to_be_renewed(credentials):
    found = presented(refresh=credentials.refresh_token)
    assert (found.access, found.is_due) == (None, True)


@pytest.mark.parametrize(
    ("make", "error"),
    [(expired, TokenExpired), (lambda _: "garbage", TokenMalformed)],
    ids=["old", "garbage"],
)
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "alone"])
def test_an_unusable_access_token_says_why_and_is_renewed_where_it_can_be(make, error, beside, credentials):
    found = presented(make(credentials), credentials.refresh_token if beside else None)
    assert (found.access, type(found.access_error), found.is_due) == (None, error, beside)


def test_an_access_token_of_another_session_is_no_credential(credentials, ada, django_assert_num_queries):
    other = open_session(ada)
    with django_assert_num_queries(0):
        found = presented(credentials.access_token, other.refresh_token)
    assert (found.access, found.access_error, found.is_due) == (None, None, True)
    assert found.refresh.sid == other.session.pk


def test_a_refresh_token_that_names_no_session_leaves_the_access_token_alone(credentials):
    found = presented(credentials.access_token, "garbage")
    assert (found.access, found.is_due) == (credentials.claims, False)
    assert isinstance(found.refresh_error, RefreshMalformed)


def test_a_cleared_jar_of_a_test_client_presents_nothing():
    assert presented('""', '""') == Presented()


def test_it_is_read_at_the_first_call_alone(credentials):
    request = RequestFactory().get("/")
    request.META["HTTP_COOKIE"] = f"{ACCESS}={credentials.access_token}"
    assert presented_by(request) is presented_by(request)


def test_the_access_token_is_read_when_it_is_needed_and_once(credentials):
    request = RequestFactory().get("/")
    request.META["HTTP_COOKIE"] = f"{ACCESS}={credentials.access_token}"
    found = presented_by(request)
    assert found._access_read is None
    assert found.access == credentials.claims
    assert found.access is found.any_access


def test_a_token_that_was_being_read_is_in_no_error_report(settings):
    settings.SECRET_KEY_FALLBACKS = [object()]  # no secret
    request = RequestFactory().get("/", headers={"Cookie": f"{REFRESH}={'A' * 56}.{'A' * 43}"})
    try:
        assert presented_by(request).refresh
    except Exception:
        report = ExceptionReporter(None, *sys.exc_info()).get_traceback_html()
    assert "authx/logins/presented.py" in report
    assert "A" * 56 not in report
