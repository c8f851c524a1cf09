"""authx.pages.views: login, logout and "your devices", as they are read and used."""

import re
from datetime import timedelta
from html import unescape
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db.models import F
from django.test import Client
from django.utils import timezone

from authx.models import DeviceSession, EndReason, SessionEvent
from authx.sessions import Device, end_session, open_session, refresh_session
from tests.signing_in import NAVIGATION

pytestmark = pytest.mark.django_db

LOGIN, LOGOUT, DEVICES = "/account/login/", "/account/logout/", "/account/devices/"
END_OTHERS = "/account/devices/end-others/"
ACCESS, REFRESH = "__Host-authx_access", "__Host-authx_refresh"
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
MARKUP = "<script>alert(1)</script>\"'&"


@pytest.fixture(autouse=True)
def more_urls(settings):
    settings.ROOT_URLCONF = "tests.more_urls"


@pytest.fixture
def sign_in(password):
    """Sign somebody in on the page; the browser."""

    def post(user, client=None, **more):
        client = client or Client(headers={"User-Agent": FIREFOX})
        typed = {"username": user.get_username(), "password": password, **more}
        assert client.post(LOGIN, typed).status_code == 302
        return client

    return post


@pytest.fixture
def browser(sign_in, ada):
    """Ada's browser, signed in."""
    return sign_in(ada)


def session_of(client):
    return DeviceSession.objects.get(pk=client.get("/whoami/").json()["session"])


def end_path(session):
    return f"{DEVICES}{getattr(session, 'pk', session)}/end/"


def text(response):
    return response.content.decode()


def reason_shown(response):
    """The machine word and the sentence on the login page; None without."""
    assert response.status_code == 200
    found = re.search(r'data-reason="(\w*)">.*?<p>(.*?)</p>', text(response), re.DOTALL)
    return found and (found[1], unescape(found[2]))


def takes_cookies_back(response):
    taken = {name for name in (ACCESS, REFRESH) if name in response.cookies}
    assert all(response.cookies[name]["max-age"] == 0 for name in taken)
    return taken == {ACCESS, REFRESH}


def copy(client):
    other = Client()
    for name, cookie in client.cookies.items():
        other.cookies[name] = cookie.value
    return other


# Why the last session ended


@pytest.mark.parametrize("left", [{ACCESS, REFRESH}, {REFRESH}, {ACCESS}, {"sessionid"}], ids=sorted)
@pytest.mark.parametrize("reason", EndReason)
def test_the_login_page_says_why_the_session_ended(reason, left, browser):
    end_session(DeviceSession.objects.get(), reason)
    for name in {ACCESS, REFRESH, "sessionid"} - left:
        del browser.cookies[name]
    assert reason_shown(browser.get(LOGIN, headers=NAVIGATION)) == (reason.value, reason.label)


@pytest.mark.parametrize("left", [{ACCESS, REFRESH}, {REFRESH}, {ACCESS}, {"sessionid"}], ids=sorted)
def test_whose_answers_kept_getting_lost_is_not_told_that_somebody_copied_the_session(left, browser):
    end_session(DeviceSession.objects.get(), "reused")
    DeviceSession.objects.update(answers_lost=True)
    for name in {ACCESS, REFRESH, "sessionid"} - left:
        del browser.cookies[name]
    said = "You were signed out because answers to your device kept getting lost."
    assert reason_shown(browser.get(LOGIN, headers=NAVIGATION)) == ("reused", said)


def test_the_page_that_ends_the_session_for_it_says_so_at_once(browser):
    spent = browser.cookies[REFRESH].value
    pass_time(hours=1)
    refresh_session(spent)
    pass_time(hours=1)
    DeviceSession.objects.update(late_streak=5, late_at=F("created_at") - timedelta(hours=1))
    browser.cookies[REFRESH] = spent
    del browser.cookies[ACCESS]
    said = "You were signed out because answers to your device kept getting lost."
    assert reason_shown(browser.get(LOGIN, headers=NAVIGATION)) == ("reused", said)


def pass_time(**duration):
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(**duration))


def test_who_was_replaced_is_told_by_what(browser, ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["web", "ios"], "limit": 1, "when_full": "end_oldest"}]
    open_session(ada, device=Device(type="ios"))
    said = "You were signed out because of a newer sign-in (iOS app)."
    assert reason_shown(browser.get(LOGIN)) == ("replaced", said)


@pytest.mark.parametrize(("column", "reason"), [("idle_expires_at", "idle"), ("expires_at", "expired")])
def test_it_says_that_the_session_ran_out(column, reason, browser):
    DeviceSession.objects.update(**{column: F("created_at")})
    assert reason_shown(browser.get(LOGIN))[0] == reason


def disable(user):
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)


def change_password(user):
    get_user_model()._default_manager.filter(pk=user.pk).update(password="!")


def delete(user):
    user.delete()


@pytest.mark.parametrize(
    ("change", "reason"),
    [(disable, "user_disabled"), (change_password, "password_changed"), (delete, "user_deleted")],
)
def test_it_says_what_became_of_the_user(change, reason, browser, ada):
    change(ada)
    assert reason_shown(browser.get(LOGIN))[0] == reason


def test_it_says_that_a_token_was_used_twice(browser):
    stolen = copy(browser)
    del stolen.cookies[ACCESS]
    token = browser.cookies[REFRESH].value
    for _rotation in range(2):
        DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(hours=1))
        token = refresh_session(token).refresh_token
    assert reason_shown(stolen.get(LOGIN))[0] == "reused"
    assert reason_shown(browser.get(LOGIN))[0] == "reused"


def test_a_first_visit_is_told_nothing(client):
    response = client.get(LOGIN)
    assert reason_shown(response) is None
    assert not {ACCESS, REFRESH} & set(response.cookies)


@pytest.mark.parametrize("cookies", [{ACCESS: "x"}, {REFRESH: "x"}, {ACCESS: "x", REFRESH: "y"}], ids=str)
def test_a_garbage_cookie_is_told_nothing(cookies, client):
    for name, value in cookies.items():
        client.cookies[name] = value
    assert reason_shown(client.get(LOGIN)) is None


def test_a_failed_login_still_says_why_the_session_before_it_ended(browser, ada):
    end_session(DeviceSession.objects.get(), "kicked")
    response = browser.post(LOGIN, {"username": ada.get_username(), "password": "wrong"})
    assert reason_shown(response)[0] == "kicked"


def test_after_signing_in_again_nothing_is_said(browser, sign_in, ada):
    end_session(DeviceSession.objects.get(), "kicked")
    sign_in(ada, browser)
    assert reason_shown(browser.get(LOGIN)) is None


@pytest.mark.parametrize("reason", EndReason)
def test_a_sites_own_login_page_can_say_it_too(reason, browser):
    end_session(DeviceSession.objects.get(), reason)
    assert text(browser.get("/own-login-page/")) == f"<p>{reason.label}</p>"


def test_and_says_nothing_to_others(browser, client):
    assert text(browser.get("/own-login-page/")) == "<p></p>"
    assert text(client.get("/own-login-page/")) == "<p></p>"


# Who takes cookies back


def test_the_login_page_takes_back_cookies_of_an_ended_session(browser):
    end_session(DeviceSession.objects.get(), "kicked")
    response = browser.get(LOGIN, headers=NAVIGATION)
    assert takes_cookies_back(response)
    assert {"private", "no-store"} <= set(response["Cache-Control"].split(", "))


def test_the_login_page_takes_back_empty_cookies(client):
    client.cookies[ACCESS] = client.cookies[REFRESH] = ""
    assert takes_cookies_back(client.get(LOGIN, headers=NAVIGATION))


def test_without_fetch_metadata_a_page_is_known_by_what_it_accepts(client):
    client.cookies[ACCESS] = ""
    assert takes_cookies_back(client.get(LOGIN, headers={"Accept": "text/html,*/*"}))
    client.cookies[ACCESS] = ""
    assert not takes_cookies_back(client.get(LOGIN, headers={"Accept": "*/*"}))


@pytest.mark.parametrize("headers", [FETCH, {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}], ids=str)
def test_in_the_background_it_takes_nothing_back(headers, browser):
    end_session(DeviceSession.objects.get(), "kicked")
    assert not {ACCESS, REFRESH} & set(browser.get(LOGIN, headers=headers).cookies)


def test_in_a_frame_of_another_site_it_does_where_our_cookies_go_there(browser, settings):
    settings.AUTHX_COOKIE_SAMESITE = "None"
    end_session(DeviceSession.objects.get(), "kicked")
    framed = {**NAVIGATION, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}
    assert takes_cookies_back(browser.get(LOGIN, headers=framed))


@pytest.mark.parametrize("headers", [{"Sec-Purpose": "prefetch"}, {"Purpose": "prefetch"}], ids=str)
def test_to_a_prefetch_it_neither_gives_nor_takes(headers, browser):
    del browser.cookies[ACCESS]  # a renewal is due, and not for a prefetch
    assert not {ACCESS, REFRESH} & set(browser.get(LOGIN, headers={**NAVIGATION, **headers}).cookies)
    assert browser.get("/whoami/").json()["user"]


def test_from_a_late_tab_it_takes_nothing_back(browser):
    spent = browser.cookies[REFRESH].value
    DeviceSession.objects.update(rotated_at=F("rotated_at") - timedelta(hours=1))
    refresh_session(spent)
    DeviceSession.objects.update(
        confirmed_generation=F("generation"), rotated_at=F("rotated_at") - timedelta(hours=1)
    )
    del browser.cookies[ACCESS]
    response = browser.get(LOGIN, {"authx_retry": "1"}, headers=NAVIGATION)
    assert response.status_code == 200
    assert not {ACCESS, REFRESH} & set(response.cookies)


def test_from_a_live_session_it_takes_nothing_back(browser):
    response = browser.get(LOGIN, headers=NAVIGATION)
    assert not {ACCESS, REFRESH} & set(response.cookies)
    assert browser.get("/whoami/").json()["session"]


def test_no_other_page_takes_cookies_back(browser):
    end_session(DeviceSession.objects.get(), "kicked")
    for path in ("/whoami/", "/private/", DEVICES, "/own-login-page/", "/missing/"):
        assert not {ACCESS, REFRESH} & set(browser.get(path, headers=NAVIGATION).cookies), path


def test_a_failed_login_takes_nothing_back(browser, ada):
    response = browser.post(LOGIN, {"username": ada.get_username(), "password": "wrong"}, headers=NAVIGATION)
    assert not {ACCESS, REFRESH} & set(response.cookies)


# Signing in


def test_a_wrong_password_and_an_unknown_name_look_the_same(client, ada):
    wrong = client.post(LOGIN, {"username": ada.get_username(), "password": "wrong"})
    unknown = client.post(LOGIN, {"username": "nobody", "password": "wrong"})
    shown = [re.search(r'role="alert">.*?</div>', text(page), re.DOTALL)[0] for page in (wrong, unknown)]
    assert shown[0] == shown[1]
    assert wrong.status_code == unknown.status_code == 200
    assert not DeviceSession.objects.exists()


def test_an_inactive_user_is_not_let_in(client, ada, password):
    disable(ada)
    response = client.post(LOGIN, {"username": ada.get_username(), "password": password})
    assert response.status_code == 200
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize(
    "typed",
    [
        {},
        {"username": "", "password": ""},
        {"username": "x" * 10_000, "password": "y"},
        {"username": "\x00", "password": "\x00"},
        {"username": "\ud800".encode("utf-8", "surrogatepass"), "password": "x"},
        {"username": MARKUP, "password": MARKUP},
        {"username": "ada", "password": "x" * 100_000},
    ],
    ids=lambda typed: repr(typed)[:40],
)
def test_a_hostile_form_is_an_error_in_the_form(typed, client):
    response = client.post(LOGIN, typed)
    assert response.status_code == 200
    assert "<script>" not in text(response)


def test_too_many_tries_are_throttled_and_say_for_how_long(client, ada, password, settings):
    settings.AUTHX_LOGIN_RATE = "3/day"
    for _try in range(3):
        response = client.post(LOGIN, {"username": ada.get_username(), "password": "wrong"})
        assert response.status_code == 200
    response = client.post(LOGIN, {"username": ada.get_username(), "password": password})
    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 86401
    assert re.search(r"Too many attempts\. Please try again in \d+ hours\.", text(response))
    assert not DeviceSession.objects.exists()


def test_an_account_is_throttled_from_wherever_it_is_tried(ada, settings):
    settings.AUTHX_LOGIN_RATE = "2/day"
    spellings = [ada.get_username(), ada.get_username().upper(), ada.get_username()]
    answers = [
        Client(REMOTE_ADDR=f"192.0.2.{number}").post(LOGIN, {"username": name, "password": "wrong"})
        for number, name in enumerate(spellings)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_an_address_is_throttled_whomever_it_tries(settings):
    settings.AUTHX_ADDRESS_RATE = "2/day"
    answers = [
        Client(REMOTE_ADDR=f"2001:db8:1:2::{number}").post(LOGIN, {"username": f"x{number}", "password": "x"})
        for number in range(3)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


def test_looking_at_the_login_page_is_not_a_try(client, settings):
    settings.AUTHX_LOGIN_RATE = "1/day"
    assert [client.get(LOGIN).status_code for _look in range(3)] == [200] * 3


def test_where_there_is_no_rate_nothing_is_throttled(client, ada, settings):
    settings.AUTHX_LOGIN_RATE = None
    typed = {"username": ada.get_username(), "password": "wrong"}
    assert {client.post(LOGIN, typed).status_code for _try in range(12)} == {200}


def test_no_cache_keeps_our_pages(browser, client):
    for response in (client.get(LOGIN), browser.get(LOGIN), browser.get(DEVICES), browser.post(LOGOUT)):
        assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "javascript:alert(1)"],
)
def test_next_leads_nowhere_else(elsewhere, client, ada, password):
    typed = {"username": ada.get_username(), "password": password, "next": elsewhere}
    assert client.post(LOGIN, typed)["Location"] == "/whoami/"
    assert client.post(LOGOUT, {"next": elsewhere}).status_code == 200


def test_next_leads_on_here(client, ada, password):
    typed = {"username": ada.get_username(), "password": password, "next": "/private/?a=1"}
    assert client.post(LOGIN, typed)["Location"] == "/private/?a=1"


def test_the_login_page_keeps_next_and_escapes_it(client):
    page = text(client.get(LOGIN, {"next": "/private/?a=1&b=" + MARKUP}))
    assert "<script>" not in page
    assert '<input type="hidden" name="next" value="/private/?a=1&amp;b=' in page


# Signing out


def test_signing_out_is_a_post(browser):
    assert browser.get(LOGOUT)["Location"] == DEVICES
    assert browser.put(LOGOUT).status_code == 405
    assert browser.get("/whoami/").json()["user"]


def test_signing_out_says_so_and_takes_the_cookies_back(browser):
    response = browser.post(LOGOUT)
    assert "You are signed out" in text(response)
    assert takes_cookies_back(response)
    assert DeviceSession.objects.get().end_reason == "logout"
    assert not Session.objects.exists()


@pytest.mark.parametrize("path", [LOGIN, LOGOUT, END_OTHERS, DEVICES + f"{UUID(int=7)}/end/"])
def test_every_form_needs_its_csrf_token(path, sign_in, ada, password):
    browser = Client(enforce_csrf_checks=True)
    page = browser.get(LOGIN)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text(page))[1]
    sign_in(ada, browser, csrfmiddlewaretoken=token)
    response = browser.post(path, {"username": ada.get_username(), "password": password})
    assert response.status_code == 403
    assert DeviceSession.objects.live().count() == 1


# The devices page


def test_nobody_sees_devices_without_signing_in(client, ada):
    session = open_session(ada).session
    for method, path in (("get", DEVICES), ("post", END_OTHERS), ("post", end_path(session))):
        response = getattr(client, method)(path)
        assert (response.status_code, response["Location"]) == (302, f"{LOGIN}?next={path}")
    assert DeviceSession.objects.live().count() == 1


def names(response):
    assert response.status_code == 200
    return [
        unescape(name) for name in re.findall(r'class="authx-device-name"[^>]*><bdi>([^<]*)<', text(response))
    ]


def test_the_page_lists_this_device_first_and_the_others_by_their_last_visit(browser, ada):
    seen = {
        "yesterday": timedelta(days=1),
        "a week ago": timedelta(days=7),
        "an hour ago": timedelta(hours=1),
    }
    for name, ago in seen.items():
        session = open_session(ada, device=Device(name=name)).session
        DeviceSession.objects.filter(pk=session.pk).update(last_seen_at=timezone.now() - ago)
    page = browser.get(DEVICES)
    assert names(page) == ["Firefox on Linux", "an hour ago", "yesterday", "a week ago"]
    assert text(page).count("This device") == 1
    assert "Active 1 hour ago" in unescape(text(page))
    assert "127.0.0.1" in text(page)


def test_it_lists_what_is_alive_and_hers_alone(browser, ada, bob):
    open_session(bob, device=Device(name="bob's"))
    end_session(open_session(ada, device=Device(name="ended")).session, "kicked")
    for column, name in (("idle_expires_at", "idle"), ("expires_at", "expired")):
        session = open_session(ada, device=Device(name=name)).session
        DeviceSession.objects.filter(pk=session.pk).update(**{column: timezone.now() - timedelta(seconds=1)})
    page = browser.get(DEVICES)
    assert names(page) == ["Firefox on Linux"]
    assert "You are not signed in anywhere else." in text(page)
    assert "Sign out everywhere else" not in text(page)


@pytest.mark.parametrize(
    "name", [MARKUP, "{{ 7|add:7 }}", "{% csrf_token %}", "<b>bold", "a\nb\x00c\x1b[31m", "‮gnp.exe", "电话📱"]
)
def test_a_hostile_device_name_is_text(name, browser, ada):
    other = open_session(ada, device=Device(name=name)).session
    page = browser.get(DEVICES)
    shown = names(page)[1]
    assert shown == DeviceSession.objects.get(pk=other.pk).device_name
    assert not set("\n\x00\x1b‮") & set(shown)
    assert "<script>alert" not in text(page)
    assert "<b>bold" not in text(page)

    ended = browser.post(end_path(other), follow=True)
    assert "<script>alert" not in text(ended)
    assert "has been signed out." in text(ended)


@pytest.mark.parametrize("agent", ["", MARKUP, "\xe9\xff", "A" * 5000, "%s%n{}", "Mozilla/5.0 (" * 50])
def test_a_hostile_user_agent_is_a_device_all_the_same(agent, sign_in, ada):
    browser = sign_in(ada, Client(headers={"User-Agent": agent}))
    page = browser.get(DEVICES)
    assert len(names(page)) == 1
    assert names(page)[0]
    assert "<script>alert" not in text(page)


def test_a_page_has_no_inline_script_or_style_and_no_token(browser):
    pages = [browser.get(DEVICES), Client().get(LOGIN), browser.post(LOGOUT)]
    for page in map(text, pages):
        assert "<script" not in page
        assert "<style" not in page
        assert not re.search(r'\s(style|on\w+)="', page)
    assert browser.cookies["__Host-authx_device"].value not in text(pages[0])
    assert Session.objects.count() == 0


# Ending devices


def test_ending_another_device(browser, ada):
    other = open_session(ada, device=Device(name="old phone"))
    response = browser.post(end_path(other.session), follow=True)
    assert response.redirect_chain == [(DEVICES, 302)]
    assert "old phone has been signed out." in text(response)
    other.session.refresh_from_db()
    assert other.session.end_reason == "ended_by_user"
    assert other.session.ended_by == ada
    assert SessionEvent.objects.get(session=other.session, kind="ended").actor == ada
    assert session_of(browser)


def test_ending_this_device_is_signing_out(browser):
    session = session_of(browser)
    response = browser.post(end_path(session))
    assert (response.status_code, response["Location"]) == (302, LOGIN)
    assert takes_cookies_back(response)
    session.refresh_from_db()
    assert session.end_reason == "logout"
    assert not Session.objects.exists()


def test_another_users_device_is_as_missing_as_a_missing_one(browser, bob):
    others = open_session(bob).session
    ended = open_session(bob).session
    end_session(ended, "kicked")
    answers = [browser.post(end_path(sid)) for sid in (others.pk, uuid4(), ended.pk)]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert len({answer.content.replace(answer.request["PATH_INFO"].encode(), b"") for answer in answers}) == 1
    assert DeviceSession.objects.get(pk=others.pk).ended_at is None


@pytest.mark.parametrize("sid", ["1", "x", str(UUID(int=7))[:-1], "00000000-0000-0000-0000-000000000000"])
def test_what_is_no_session_id_is_missing(sid, browser):
    assert browser.post(end_path(sid)).status_code == 404


def test_ending_is_a_post(browser):
    session = session_of(browser)
    for path in (end_path(session), END_OTHERS):
        assert browser.get(path)["Location"] == DEVICES
    assert browser.post(DEVICES).status_code == 405
    assert session_of(browser) == session


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (0, "You are not signed in anywhere else."),
        (1, "1 other device has been signed out."),
        (3, "3 other devices have been signed out."),
    ],
)
def test_ending_all_others(others, said, browser, ada, bob):
    opened = [open_session(ada).session for _other in range(others)]
    bobs = open_session(bob).session
    response = browser.post(END_OTHERS, follow=True)
    assert response.redirect_chain == [(DEVICES, 302)]
    assert said in text(response)
    assert ("have been" in text(response)) == (others == 3)
    for session in opened:
        session.refresh_from_db()
        assert (session.end_reason, session.ended_by) == ("ended_by_user", ada)
    assert DeviceSession.objects.get(pk=bobs.pk).ended_at is None
    assert session_of(browser)


def test_without_the_messages_app_devices_are_ended_in_silence(browser, ada, settings):
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "MessageMiddleware" not in name]
    other = open_session(ada).session
    assert browser.post(end_path(other)).status_code == 302
    assert browser.post(END_OTHERS).status_code == 302
    assert DeviceSession.objects.live().count() == 1


def test_who_is_in_without_a_device_session_may_see_and_end_them_all(client, ada, settings):
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client.force_login(ada)
    phone = open_session(ada, device=Device(name="phone")).session
    page = client.get(DEVICES)
    assert names(page) == ["phone"]
    assert "This device" not in text(page)
    assert "1 other device has been signed out." in text(client.post(END_OTHERS, follow=True))
    assert "No device is signed in to your account" in text(client.get(DEVICES))
    phone.refresh_from_db()
    assert phone.end_reason == "ended_by_user"


def test_a_device_that_was_renamed_goes_by_its_name(browser, ada):
    session = session_of(browser)
    DeviceSession.objects.filter(pk=session.pk).update(device_name="My desk")
    page = browser.get(DEVICES)
    assert names(page) == ["My desk"]
    assert "Firefox on Linux" in text(page)
