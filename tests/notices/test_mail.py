"""The mail of a notice: whom it reaches, what it says, and that a hostile name does nothing to it."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from smtplib import SMTPServerDisconnected

import pytest
from django import VERSION
from django.contrib.auth import get_user_model
from django.core import mail
from django.test import Client, RequestFactory
from django.urls import get_urlconf, set_urlconf
from django.utils import timezone, translation

from authx.core.notice_kinds import NoticeKind
from authx.models import DeviceSession
from authx.notices import HeldBack, Notice, send_mail
from authx.notices.links import not_me_url
from authx.sessions import Device, open_session
from authx.signals import device_session_opened
from tests.faults_in_database import outage

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SECRET = "https://shop.example/account/not-me/secret/"
HOSTILE = [
    "Phone\r\nBcc: eve@example.com",
    "Phone\n\nClick https://evil.example/",
    "Phone\u202egpj.exe",
    "<script>alert(1)</script><img src=https://evil.example/x.png>",
    "x" * 300,
    "{{ notice.not_me_url }}{% load static %}",
    "\x00\x1b[31mred",
    "\u2028Subject: you have won",
]


def notice_to(user, kind="new_device", **columns):
    told = {"at": AT, "session_id": "s", "device": "Ada's phone", "device_label": "Firefox on Linux"}
    told |= {"ip": "2001:db8::7", "country": "GB", "not_me_url": SECRET}
    told |= {"devices_url": "https://shop.example/account/devices/"}
    told |= {"password_reset_url": "https://shop.example/password-reset/"}
    return Notice(kind=kind, user_pk=user.pk, **{**told, **columns})


def sent():
    """The one mail, as it goes over the wire: its headers, its text and its HTML."""
    (message,) = mail.outbox
    parsed = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    text, html = (parsed.get_body([kind]).get_content() for kind in ("plain", "html"))
    return parsed, text, html


@pytest.mark.parametrize("kind", [kind.value for kind in NoticeKind])
def test_each_kind_is_text_and_html_to_its_user_alone(ada, mailing, kind):
    assert send_mail(notice_to(ada, kind))
    parsed, text, html = sent()
    assert parsed["To"] == ada.email
    assert "shop.example" in parsed["Subject"]
    assert parsed["Auto-Submitted"] == "auto-generated"
    for part in (text, html):
        assert "Nov. 30, 2026, noon" in part
        assert "2001:db8::7" in part
        assert "https://shop.example/account/devices/" in part
        assert "{" not in part
    assert "Ada's phone" in text
    assert "\n\n\n" not in text
    assert "<bdi>Ada&#x27;s phone</bdi>" in html
    assert '<bdi dir="ltr">2001:db8::7</bdi>' in html
    assert '<html lang="en-us" dir="ltr">' in html


@pytest.mark.parametrize("kind", ["new_device", "copied", "connected_app"])
def test_what_can_be_ended_has_a_link(ada, mailing, kind):
    send_mail(notice_to(ada, kind))
    _, text, html = sent()
    assert SECRET in text.split()
    assert f'href="{SECRET}"' in html


def test_a_new_password_leads_to_another(ada, mailing):
    send_mail(notice_to(ada, "password_changed", not_me_url="", session_id="", device="", device_label=""))
    _, text, html = sent()
    assert "https://shop.example/password-reset/" in text.split()
    assert 'href="https://shop.example/password-reset/"' in html
    assert "Device" not in text


@pytest.mark.parametrize(("count", "words"), [(1, "on one device."), (3, "on 3 devices.")])
def test_a_kick_says_on_how_many_devices(ada, mailing, count, words):
    send_mail(notice_to(ada, "kicked", not_me_url="", count=count))
    _, text, html = sent()
    assert words in text
    assert words in html


def test_what_was_held_back_stands_in_it(ada, mailing):
    held = (HeldBack(at=AT, device="Tablet", ip="192.0.2.9", not_me_url=f"{SECRET}held/"), HeldBack(at=AT))
    send_mail(notice_to(ada, held_back=held, held_back_count=25))
    _, text, html = sent()
    for part in (text, html):
        assert "It has happened 25 times more since our last message:" in part
        assert "Tablet" in part
        assert "192.0.2.9" in part
        assert f"{SECRET}held/" in part
        assert "And 23 more." in part


def test_a_device_that_was_held_back_is_called_as_its_readers_call_it(ada, mailing):
    mailing.LANGUAGE_CODE = "de"
    label = "Firefox on Linux"
    held = (
        HeldBack(at=AT, device=label, device_label=label),
        HeldBack(at=AT, device="My Mac on tour", device_label=label),
    )
    send_mail(notice_to(ada, held_back=held, held_back_count=2))
    _, text, html = sent()
    for part in (text, html):
        assert "Firefox auf Linux" in part
        assert "My Mac on tour" in part
        assert label not in part


def test_one_that_was_held_back_is_one(ada, mailing):
    send_mail(notice_to(ada, held_back=(HeldBack(at=AT, device="Tablet"),), held_back_count=1))
    _, text, _ = sent()
    assert "It has happened once more since our last message:" in text
    assert "And" not in text


@pytest.mark.parametrize("kind", [kind.value for kind in NoticeKind])
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_one_line_of_text_and_nothing_else(ada, mailing, kind, name):
    held = (HeldBack(at=AT, device=name),)
    send_mail(notice_to(ada, kind, device=name, device_label=name, held_back=held, held_back_count=1))
    parsed, text, html = sent()
    assert parsed["To"] == ada.email
    assert parsed["Bcc"] is None
    assert len(parsed.get_all("Subject")) == 1
    assert len(parsed["Subject"]) <= 200
    assert mail.outbox[0].recipients() == [ada.email]
    bad = re.compile("[\u202a-\u202e\u2066-\u2069\u2028\x00-\x08\x0b-\x1f]")
    for part in (parsed["Subject"], text.replace("\r\n", "\n"), html.replace("\r\n", "\n")):
        assert not bad.search(part)
        assert "x" * 101 not in part
        assert "https://evil.example" not in part  # no mail program makes a link of it
    assert not re.search("<(script|img|iframe|link|object)", html)
    assert not re.search(r"^(Bcc|Click|Subject)", text, re.MULTILINE)


def test_nothing_is_fetched_when_it_is_read(ada, mailing):
    send_mail(notice_to(ada))
    _, _, html = sent()
    assert not re.search(r"\b(src|background|srcset)=|url\(|@import|<(img|script|link|style)", html)
    assert set(re.findall(r'href="([^"]+)"', html)) == {SECRET, "https://shop.example/account/devices/"}


@pytest.mark.parametrize(
    "name",
    [
        "www.evil.example",
        "https://evil.example/x",
        "eve@evil.example",
        "\N{HEAVY BLACK HEART}.ws",
        "www.\N{HEAVY BLACK HEART}.ws",
        "evil\N{IDEOGRAPHIC FULL STOP}com",
        "evil\N{FULLWIDTH FULL STOP}com",
        "evil\N{HALFWIDTH IDEOGRAPHIC FULL STOP}com",
        "(evil.example)",
        "xn--tnq.\u00adcom",
    ],
)
def test_no_mail_program_makes_a_link_of_a_name(ada, mailing, name):
    send_mail(notice_to(ada, device=name, not_me_url="", devices_url=""))
    _, text, html = sent()
    (line,) = (line for line in text.splitlines() if line.startswith("Device: "))
    for shown in (line.removeprefix("Device: "), re.search(r"<strong><bdi>(.*?)</bdi>", html)[1]):
        assert not re.search(r"[^\s\u2060](?:[.@\u3002\uff0e\uff61](?=\S)|://)", shown)
        assert shown.replace("\u2060", "").startswith(name[:3])


# Whom it reaches


def test_who_has_no_address_gets_none(ada, mailing):
    get_user_model()._default_manager.filter(pk=ada.pk).update(email="")
    assert not send_mail(notice_to(ada))
    assert mail.outbox == []


def test_nor_who_is_gone(ada, mailing):
    told = notice_to(ada)
    ada.delete()
    assert not send_mail(told)


def language_of(user):
    return {"ada": "ar", "bob": "xx"}.get(str(user.email).partition("@")[0])


@pytest.mark.parametrize(("name", "language", "direction"), [("ada", "ar", "rtl"), ("bob", "en-us", "ltr")])
def test_it_is_in_the_users_language(make_user, mailing, name, language, direction):
    mailing.AUTHX_NOTICE_LANGUAGE = f"{__name__}.language_of"
    with translation.override("de"):  # of whoever's request it was
        send_mail(notice_to(make_user(name)))
        assert translation.get_language() == "de"
    assert f'<html lang="{language}" dir="{direction}">' in sent()[2]


def language_that_fails(user):
    raise KeyError(user)


def language_that_is_none(user):
    return b"\xff\x00de"


@pytest.mark.parametrize("name", ["language_that_fails", "language_that_is_none"])
def test_a_site_that_does_not_know_the_language_tells_the_user_all_the_same(ada, mailing, caplog, name):
    mailing.LANGUAGE_CODE = "de"
    mailing.AUTHX_NOTICE_LANGUAGE = f"{__name__}.{name}"
    assert send_mail(notice_to(ada))
    assert '<html lang="de" dir="ltr">' in sent()[2]
    told = [(one.event, one.exc_info[0]) for one in caplog.records if one.name == "authx"]
    assert told == ([("notice_language_failed", KeyError)] if name == "language_that_fails" else [])
    assert "not-me" not in caplog.text


def test_it_is_in_the_sites_language_otherwise(ada, mailing):
    mailing.LANGUAGE_CODE = "de"
    with translation.override("ar"):
        send_mail(notice_to(ada))
    assert '<html lang="de" dir="ltr">' in sent()[2]


def test_its_times_are_the_sites(ada, mailing):
    with timezone.override("Asia/Tokyo"):  # an administrator's
        send_mail(notice_to(ada))
    assert "Nov. 30, 2026, noon UTC" in sent()[1]


# When it goes out


def arrive(user, **device):
    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7")
    session = open_session(user, request, Device(id="d", **device)).session
    device_session_opened.send_robust(DeviceSession, session=session, user=user, request=None, is_new=True)
    return session


def test_by_default_there_is_none(ada, at_site):
    arrive(ada)
    assert mail.outbox == []


@pytest.mark.parametrize(("value", "count"), [(True, 1), (["new_device"], 1), (["kicked"], 0), ([], 0)])
def test_the_setting_says_which(ada, at_site, value, count):
    at_site.AUTHX_NOTICE_MAIL = value
    mail.outbox.clear()
    arrive(ada)
    assert len([message for message in mail.outbox if "New sign-in" in message.subject]) == count


def test_its_link_leads_to_the_issuer_whatever_the_host(ada, mailing):
    mailing.ALLOWED_HOSTS = ["*"]
    arrive(ada, name="Ada's phone")
    Client(headers={"host": "evil.example"}).get("/account/login/")
    _, text, _ = sent()
    (link,) = re.findall(r"https://\S+/not-me/\S+", text)
    assert link.startswith("https://shop.example/account/not-me/")
    assert Client().get(link.removeprefix("https://shop.example")).status_code == 200


@pytest.fixture
def by_language(mailing):
    """The site has a language before each address."""
    mailing.ROOT_URLCONF = "tests.language_urls"
    mailing.MIDDLEWARE = [*mailing.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    return mailing


@pytest.mark.parametrize(("name", "language"), [("ada", "ar"), ("bob", "en"), ("eve", "en")])
def test_its_links_lead_to_pages_in_its_own_language(make_user, by_language, name, language):
    """Not in that of the request, which may be a stranger's."""
    by_language.AUTHX_NOTICE_LANGUAGE = f"{__name__}.language_of"
    with translation.override("ja"):
        arrive(make_user(name))
    _, text, html = sent()
    links = re.findall(r"https://shop\.example/(\S+)", text)
    assert len(links) == 2
    for link in links:
        assert link.startswith(f"{language}/account/")
        assert f'href="https://shop.example/{link}"' in html
    assert Client().get(f"/{links[0]}").status_code == 200


def test_those_of_what_was_held_back_do_too(ada, by_language):
    by_language.AUTHX_NOTICE_LANGUAGE = f"{__name__}.language_of"
    url = not_me_url(str(open_session(ada).session.pk))
    mail.outbox.clear()
    assert url.startswith("https://shop.example/en/account/not-me/")
    send_mail(notice_to(ada, held_back=(HeldBack(at=AT, not_me_url=url),), held_back_count=1))
    assert f'href="{url.replace("/en/", "/ar/")}"' in sent()[2]


def test_its_links_are_those_of_the_site_whatever_pages_the_requests_host_has(ada, mailing):
    set_urlconf("tests.without_pages_urls")  # as a request with a ``urlconf`` of its own
    try:
        arrive(ada)
        assert get_urlconf() == "tests.without_pages_urls"
    finally:
        set_urlconf(None)
    assert len(re.findall(r"https://shop\.example/account/\S+", sent()[1])) == 2


def test_without_an_address_of_the_site_there_are_no_links(ada, settings):
    settings.AUTHX_NOTICE_MAIL = True  # and no AUTHX_ISSUER that is an address: a check refuses that
    arrive(ada)
    assert "//" not in sent()[1]


def test_a_mail_server_that_fails_stops_no_login_and_its_log_has_no_link(ada, mailing, caplog):
    if VERSION < (6, 1):
        mailing.EMAIL_BACKEND = f"{__name__}.FailingBackend"
    else:
        mailing.MAILERS = {"default": {"BACKEND": f"{__name__}.FailingBackend"}}
    session = arrive(ada)
    assert session.ended_at is None
    (record,) = [one for one in caplog.records if one.name == "authx"]
    assert (record.event, record.levelname, record.exc_info) == ("notice_not_mailed", "ERROR", None)
    assert "the server has gone" in record.getMessage()
    assert "not-me" not in caplog.text


class FailingBackend:
    """A mail server that hangs up; Django makes one of these for each message."""

    def __init__(self, *arguments, **options):
        pass

    def send_messages(self, messages):
        raise SMTPServerDisconnected("the server has gone")


@pytest.mark.django_db(transaction=True)
def test_without_the_database_the_log_says_that_somebody_was_not_told(ada, mailing, caplog):
    session = open_session(ada).session
    mail.outbox.clear()
    with outage():
        told = {"session": session, "user": ada, "request": None, "is_new": True}
        device_session_opened.send_robust(DeviceSession, **told)
    assert mail.outbox == []
    assert [one.event for one in caplog.records if one.name == "authx"] == ["notice_lost"]
