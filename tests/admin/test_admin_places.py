"""Where sessions were signed in from, and whose new devices were, as staff read it."""

import re

import pytest
from django.contrib.auth import get_user_model

from authx.core.actor import Actor
from authx.issuer import create_client
from authx.models import DeviceSession
from authx.sessions import Device, end_session, open_session
from authx.sessions.new_devices import confirm, disown
from tests.admin.test_admin import LIST, MARKUP, boss, change, desk, rows, sign_in, text_of  # noqa: F401


def city(session):
    """What AUTHX_PLACE names in these tests."""
    return "Lyon" if session.country == "FR" else MARKUP


def broken(session):
    raise LookupError(session)


def place_in_list(boss):  # noqa: F811
    (found,) = rows(boss.get(q="ada"))
    return found["place"]


@pytest.fixture
def phone(ada):
    session = sign_in(ada).session
    change(session, country="FR", ip="192.0.2.7")
    return session


def test_a_country_has_its_name_in_the_list_the_page_and_the_filter(boss, phone):  # noqa: F811
    assert place_in_list(boss).startswith("France")
    assert "France" in text_of(boss.client.get(f"{LIST}{phone.pk}/change/").content.decode())
    assert '?country=FR">France</a>' in boss.get().content.decode()


def test_what_the_site_knows_of_it_stands_before_it(boss, phone, settings):  # noqa: F811
    settings.AUTHX_PLACE = f"{__name__}.city"
    assert place_in_list(boss).startswith("Lyon, France")
    assert "Lyon, France" in text_of(boss.client.get(f"{LIST}{phone.pk}/change/").content.decode())


def test_it_is_no_markup(boss, phone, settings):  # noqa: F811
    settings.AUTHX_PLACE = f"{__name__}.city"
    change(phone, country="DE")
    pages = boss.get(), boss.client.get(f"{LIST}{phone.pk}/change/")
    assert not any(MARKUP in page.content.decode() for page in pages)


def test_where_its_code_fails_the_country_stands_alone(boss, phone, settings, caplog):  # noqa: F811
    settings.AUTHX_PLACE = f"{__name__}.broken"
    assert place_in_list(boss).startswith("France")
    assert boss.client.get(f"{LIST}{phone.pk}/change/").status_code == 200


def test_a_code_that_no_country_has_is_shown_as_it_is(boss, phone):  # noqa: F811
    change(phone, country="QQ")
    assert place_in_list(boss).startswith("QQ")


@pytest.mark.parametrize(
    ("act", "words"), [(confirm, "Confirmed by its user"), (disown, "Its user says it was not them")]
)
def test_what_its_user_says_of_a_new_device_is_in_its_history(boss, ada, act, words):  # noqa: F811
    open_session(ada, device=Device(id="laptop"))
    new = open_session(ada, device=Device(id="new")).session
    act(new, Actor(ada, "192.0.2.1"))
    assert words in text_of(boss.client.get(f"{LIST}{new.pk}/change/").content.decode())
    assert DeviceSession.objects.get(pk=new.pk).is_unconfirmed is (act is disown)


def test_addresses_read_from_the_left_on_every_page_in_arabic(boss, ada, settings):  # noqa: F811
    session = sign_in(ada, ip="2001:db8::7").session
    settings.LANGUAGE_CODE = "ar"
    for page in (boss.get(q="ada"), boss.detail(session), boss.choose("kick", session)):
        assert_isolated(page, "2001:db8::7")


def test_so_do_names_ids_mail_and_browsers(boss, admin, settings):  # noqa: F811
    """Whatever begins or ends with a sign would lose it to the other side."""
    ada = make_ada()
    session = sign_in(ada, name="(Pocket)", agent="Fox/1 (X11)", id="-laptop-").session
    end_session(session, "kicked", by=admin, note="(lost)")
    change(session, subject="-subject-")
    client, _secret = create_client("(Orders)", audience="https://orders.example/")
    settings.LANGUAGE_CODE = "ar"
    for page in (boss.get(q="(ada)"), boss.detail(session)):
        assert_isolated(page, "(ada)")
        assert_isolated(page, "(Pocket)")
    assert_isolated(boss.get(q="(ada)"), "(her)@example.org")
    for text in ("Fox/1 (X11)", "(lost)", "-laptop-", "-subject-", str(session.pk)):
        assert_isolated(boss.detail(session), text)
    for text in ("(Orders)", "https://orders.example/", client.client_id):
        assert_isolated(boss.get("/admin/authx/serviceclient/"), text)
    form = boss.get(f"/admin/authx/serviceclient/{client.pk}/change/").content.decode()
    for name in ("redirect_uris", "audience", "jwks", "jwks_uri", "scope", "resources", "origins"):
        assert 'dir="ltr"' in re.search(rf'<(?:input|textarea)[^>]* name="{name}"[^>]*>', form)[0]


def test_an_arabic_name_turns_nothing_round_in_english(boss, make_user):  # noqa: F811
    ada = make_user("\u0622\u062f\u0627")
    session = sign_in(ada).session
    end_session(session, "kicked", by=boss.user, note="\u0641\u064f\u0642\u062f")
    page = boss.detail(session)
    assert_isolated(page, ada.username)
    assert_isolated(page, "\u0641\u064f\u0642\u062f")


def make_ada():
    return get_user_model().objects.create_user("(ada)", "(her)@example.org", "x")


def assert_isolated(page, text):
    """Assert that the words around it cannot turn it round wherever it is shown."""
    shown = re.sub(r"<(?:input|option|title)[^>]*>[^<]*", "", page.content.decode().partition("<body")[2])
    shown = re.sub(r'(?:href|value|title|action|id|data-[\w-]+)="[^"]*"', "", shown)
    found = re.findall(rf"(.{{0,60}}){re.escape(text)}(.{{0,12}})", shown)
    assert found, text
    for before, behind in found:
        in_markup = re.search(r'<(?:bdi(?: dir="ltr")?|code dir="ltr")>(?:<a [^>]*>)?$', before)
        in_marks = before[-1:] in {"\u2066", "\u2068"} and behind[:1] == "\u2069"
        assert in_marks or (in_markup and re.match(r"(?:</a>)?</(?:bdi|code)>", behind)), (
            before,
            text,
            behind,
        )
