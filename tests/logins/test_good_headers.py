"""authx.logins.good_headers: with the cookies of an earlier page none is read, while they are good."""

from datetime import timedelta
from threading import Thread
from traceback import walk_tb

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.test import AsyncRequestFactory, Client, RequestFactory, override_settings
from django.views.debug import SafeExceptionReporterFilter

from authx.conf import conf
from authx.core.reasons import EndReason
from authx.errors import StoreUnavailable
from authx.gate.keys.managed import Keyring
from authx.http.request_state import request_state
from authx.identity.renewing import renew, renews_nothing
from authx.identity.settling import NOBODY
from authx.issuer.signing_keys import rotate, withdraw
from authx.logins.good_headers import GoodHeaders, good_headers
from authx.sessions import end_session, open_session
from authx.testing import clock

pytestmark = pytest.mark.django_db

PAGE = "/some/page/"


def a_key():
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def nothing_remembered():
    good_headers.clear()


@pytest.fixture
def credentials(ada):
    return open_session(ada)


def header_of(credentials, more=""):
    access, refresh = credentials.access_token, credentials.refresh_token
    return f"{conf.ACCESS_COOKIE}={access}; {conf.REFRESH_COOKIE}={refresh}{more}"


def visit(header, factory=RequestFactory):
    """Ask for a page with these cookies; return whether they were read, and what became of it."""
    request = factory().get(PAGE)
    request.META["HTTP_COOKIE"] = header
    found = renew(request)
    return request_state(request).presented is not None, found


def is_read(header, factory=RequestFactory):
    read, found = visit(header, factory)
    assert found is NOBODY
    return read


def test_the_second_page_reads_no_cookie(credentials):
    header = header_of(credentials)
    assert [is_read(header) for _ in range(3)] == [True, False, False]


def test_other_cookies_beside_them_make_another_header(credentials):
    assert is_read(header_of(credentials))
    assert is_read(header_of(credentials, "; theme=dark"))
    assert not is_read(header_of(credentials, "; theme=dark"))


def test_of_each_session_the_last_header_is_kept(credentials, bob):
    others = header_of(open_session(bob))
    assert is_read(others)
    for number in range(20):
        assert is_read(header_of(credentials, f"; visit={number}"))
    assert len(good_headers) == 2
    assert not is_read(others)
    assert is_read(header_of(credentials, "; visit=0"))


def test_once_the_token_has_expired_it_is_renewed(credentials):
    header = header_of(credentials)
    assert is_read(header)
    with clock() as moving:
        moving.advance(conf.ACCESS_TOKEN_LIFETIME + conf.CLOCK_LEEWAY - timedelta(seconds=1))
        assert not is_read(header)
        moving.advance(timedelta(seconds=2))
        read, found = visit(header)
        assert read
        assert found.delivery.credentials.session == credentials.session


def test_before_the_token_was_made_it_is_not_trusted(credentials):
    """The clock was put back: the token is from the future now, as ``check_claims`` finds."""
    header = header_of(credentials)
    assert is_read(header)
    with clock() as moving:
        moving.advance(-conf.CLOCK_LEEWAY - timedelta(seconds=5))
        assert visit(header)[0]


@pytest.mark.django_db(transaction=True)  # a keyring reads what has been committed
def test_once_its_key_is_withdrawn_it_is_renewed(credentials):
    key = rotate(at_once=True)
    header = header_of(open_session(credentials.session.user))
    assert is_read(header)
    assert not is_read(header)
    withdraw(key.kid)
    read, found = visit(header)
    assert read
    assert found.delivery.credentials is not None


@pytest.mark.parametrize(
    "changed",
    [
        {"AUTHX_REFRESH_COOKIE": "other_refresh", "AUTHX_ACCESS_COOKIE": "other_access"},
        {"AUTHX_AUDIENCE": "somebody else"},
        {"AUTHX_ISSUER": "https://elsewhere.example"},
        {"SECRET_KEY": "an entirely different secret of fifty characters or so"},
        {"SECRET_KEY_FALLBACKS": ["another secret, which is still taken, of fifty characters"]},
        {"AUTHX_SIGNING_KEYS": [a_key()]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_under_other_settings_it_is_read_anew(changed, credentials):
    header = header_of(credentials)
    assert is_read(header)
    with override_settings(**changed):
        assert visit(header)[0]


@pytest.mark.parametrize("missing", ["access", "refresh", "both"])
def test_only_a_whole_pair_is_remembered(missing, credentials):
    names = {"access": conf.ACCESS_COOKIE, "refresh": conf.REFRESH_COOKIE, "both": ""}
    pairs = [] if missing == "both" else header_of(credentials).split("; ")
    kept = [pair for pair in pairs if not pair.startswith(names[missing])]
    for _ in range(2):
        visit("; ".join([*kept, "theme=dark"]))
    assert len(good_headers) == 0


def test_the_cookies_of_two_sessions_are_not_remembered(credentials, bob):
    others = open_session(bob)
    header = f"{conf.ACCESS_COOKIE}={credentials.access_token}; {conf.REFRESH_COOKIE}={others.refresh_token}"
    assert visit(header)[0]
    assert len(good_headers) == 0


def test_a_cookie_that_is_sent_twice_is_not_remembered(credentials):
    header = header_of(credentials, f"; {conf.ACCESS_COOKIE}=planted")
    assert visit(header)[0]
    assert len(good_headers) == 0


def test_nothing_is_remembered_of_what_is_no_credential(credentials):
    header = header_of(credentials).replace(
        credentials.access_token, credentials.access_token[:-6] + "AAAAAA"
    )
    for _ in range(2):
        assert visit(header)[0]
    assert len(good_headers) == 0


def test_in_an_event_loop_nothing_is_read_either(credentials, django_assert_num_queries):
    header = header_of(credentials)
    assert is_read(header, AsyncRequestFactory)
    request = AsyncRequestFactory().get(PAGE)
    request.META["HTTP_COOKIE"] = header
    with django_assert_num_queries(0):
        assert renews_nothing(request)
    assert request_state(request).presented is None


@pytest.mark.django_db(transaction=True)
def test_keys_that_would_have_to_be_read_are_left_to_a_thread(credentials, django_assert_num_queries):
    key = rotate(at_once=True)
    header = header_of(open_session(credentials.session.user))
    assert is_read(header)
    with clock() as moving:
        moving.advance(timedelta(minutes=5))  # by then another process may have withdrawn it
        with django_assert_num_queries(0):
            assert not good_headers.holds(header, if_at_hand=True)
        assert good_headers.holds(header)
    withdraw(key.kid)
    assert not good_headers.holds(header)


def test_headers_that_a_server_has_joined_are_read(credentials):
    """Two Cookie headers under ASGI: Django joins them with a comma, which is part of a value elsewhere."""
    header = header_of(credentials, "; list=a,b")
    assert is_read(header)
    assert not is_read(header)
    assert is_read(header, AsyncRequestFactory)


def test_a_session_that_has_ended_shows_where_the_user_is_asked_for(credentials):
    browser = Client()
    browser.cookies[conf.ACCESS_COOKIE] = credentials.access_token
    browser.cookies[conf.REFRESH_COOKIE] = credentials.refresh_token
    assert [browser.get("/whoami/").json()["user"] for _ in range(3)] == ["ada"] * 3
    end_session(credentials.session, EndReason.KICKED)
    assert browser.get("/whoami/").json()["user"] is None


def test_so_many_are_kept_and_the_oldest_go(ada):
    kept = GoodHeaders(largest=3)
    headers = {header_of(found): found.claims for found in (open_session(ada) for _ in range(5))}
    for header, claims in headers.items():
        kept.add(header, claims)
    assert [kept.holds(header) for header in headers] == [False, False, True, True, True]
    assert (len(kept), len(kept._of_session)) == (3, 3)


def test_threads_that_add_at_once_leave_both_tables_in_step(ada):
    kept = GoodHeaders(largest=8)
    found = [open_session(ada) for _ in range(12)]

    def add():
        for number in range(200):
            each = found[number % len(found)]
            kept.add(header_of(each, f"; n={number}"), each.claims)

    threads = [Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {good.sid: known_as for known_as, good in kept._found.items()} == kept._of_session
    assert len(kept) == 8


def test_a_service_that_only_verifies_remembers_none(credentials, settings):
    header = header_of(credentials)
    settings.AUTHX_JWKS_URL = "https://issuer.example/jwks.json"
    good_headers.add(header, credentials.claims)
    assert len(good_headers) == 0


@pytest.mark.parametrize("error", [StoreUnavailable("not read yet"), RuntimeError("the driver is broken")])
def test_what_fails_is_met_by_whoever_reads_the_cookies_and_no_report_shows_them(
    error, credentials, monkeypatch, caplog
):
    header = header_of(credentials)
    assert is_read(header)

    def fail(self, kid):
        raise type(error)(*error.args)

    monkeypatch.setattr(Keyring, "find", fail)
    read, found = visit(header)
    assert read
    met = found.refusal or found.failure
    assert str(met) == str(error)
    frames = [frame for frame, _line in walk_tb(met.__traceback__)]
    shown = {
        f"{frame.f_code.co_name}: {name}"
        for frame in frames
        for name, value in SafeExceptionReporterFilter().get_traceback_frame_variables(None, frame)
        if credentials.access_token in str(value)
    }
    assert shown == set()
