"""django-user-sessions: its list and ours agree, whichever a session is ended in."""

import pytest
from django.test import Client
from django.urls import reverse
from user_sessions.models import Session

from authx.models import DeviceSession
from authx.sessions import end_session, end_user_sessions

# What follows a commit has to follow it within its request.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sign_in(ada, password):
    """Open a browser in which ada has signed in, and whose cookies have come back."""

    def sign_in():
        browser = Client(headers={"X-Forwarded-Proto": "https"})
        answer = browser.post("/django-login/", {"username": "ada", "password": password})
        assert answer.status_code == 302, answer.content
        assert whoami(browser) == "ada"
        return browser

    return sign_in


def whoami(browser):
    return browser.get("/whoami/").json()["user"]


def theirs(user):
    return set(Session.objects.filter(user=user).values_list("session_key", flat=True))


def ours(user):
    return DeviceSession.objects.filter(user=user).live()


def key(browser):
    return browser.cookies["sessionid"].value


def test_both_list_a_login(sign_in, ada):
    phone, laptop = sign_in(), sign_in()
    assert theirs(ada) == {key(phone), key(laptop)}
    assert ours(ada).count() == 2


def test_what_is_ended_there_ends_here(sign_in, ada):
    phone, laptop = sign_in(), sign_in()
    answer = laptop.post(reverse("user_sessions:session_delete", args=[key(phone)]))
    assert answer.status_code == 302
    assert ours(ada).count() == 1
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    ended = DeviceSession.objects.exclude(ended_at=None).get()
    assert (ended.end_reason, ended.ended_by) == ("ended_by_user", ada)


def test_all_others_at_once(sign_in, ada):
    phone, tablet, laptop = sign_in(), sign_in(), sign_in()
    laptop.post(reverse("user_sessions:session_delete_other"))
    assert ours(ada).count() == 1
    assert theirs(ada) == {key(laptop)}
    assert [whoami(browser) for browser in (phone, tablet, laptop)] == [None, None, "ada"]


def test_the_own_one_is_a_logout(sign_in, ada):
    phone, laptop = sign_in(), sign_in()
    laptop.post(reverse("user_sessions:session_delete", args=[key(laptop)]))
    assert [whoami(browser) for browser in (phone, laptop)] == ["ada", None]
    assert DeviceSession.objects.exclude(ended_at=None).get().end_reason == "logout"


def device(browser):
    return DeviceSession.objects.get(pk=browser.get("/whoami/").json()["session"])


def test_what_is_ended_here_leaves_their_list_at_once(sign_in, ada):
    phone, laptop = sign_in(), sign_in()
    end_session(device(phone), "kicked")
    assert theirs(ada) == {key(laptop)}
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    assert DeviceSession.objects.get(end_reason="kicked").ended_at


def test_by_the_devices_page(sign_in, ada):
    phone, laptop = sign_in(), sign_in()
    answer = laptop.post(reverse("authx:device-end", args=[device(phone).pk]))
    assert answer.status_code == 302
    assert theirs(ada) == {key(laptop)}
    laptop.post(reverse("authx:device-end", args=[device(laptop).pk]))
    assert theirs(ada) == set()
    assert whoami(laptop) is None


def test_a_kick_everywhere_leaves_none_of_either(sign_in, ada, bob):
    phone, laptop = sign_in(), sign_in()
    old = Client()
    old.force_login(ada)  # as from before authx: nothing here is bound to it
    DeviceSession.objects.filter(user=ada).exclude(pk__in=[device(phone).pk, device(laptop).pk]).delete()
    other = Client()
    other.force_login(bob)
    end_user_sessions(ada, "kicked")
    assert theirs(ada) == set()
    assert theirs(bob) == {key(other)}
    assert [whoami(browser) for browser in (phone, laptop, old, other)] == [None, None, None, "bob"]


def test_a_password_change_keeps_the_device_that_made_it(sign_in, ada, password):
    phone, laptop = sign_in(), sign_in()
    session = laptop.session
    session["cart"] = ["shoes"]
    session.save()
    new = {"old_password": password, "new_password1": "another-staple-9", "new_password2": "another-staple-9"}
    answer = laptop.post("/password-change/", new)
    assert answer.status_code == 302, answer.content
    assert [whoami(browser) for browser in (phone, laptop)] == [None, "ada"]
    assert laptop.session["cart"] == ["shoes"]
    assert theirs(ada) == {key(laptop)}


def test_a_step_up_ends_nothing_there(sign_in, ada, password):
    phone, laptop = sign_in(), sign_in()
    assert laptop.post("/account/confirm/", {"password": password}).status_code == 302
    assert theirs(ada) == {key(phone), key(laptop)}
    assert [whoami(browser) for browser in (phone, laptop)] == ["ada", "ada"]


def test_a_login_from_before_authx_is_adopted_and_listed_in_both(ada, sign_in):
    browser = Client()
    browser.force_login(ada)
    DeviceSession.objects.all().delete()
    session = browser.session
    for name in {"_authx_session", "_authx_forced", "_authx_proofs"} & set(session.keys()):
        del session[name]
    session.save()
    assert whoami(browser) == "ada"
    assert ours(ada).count() == len(theirs(ada)) == 1


def test_when_it_is_taken_out_nobody_is_logged_out(sign_in, settings):
    phone = sign_in()
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    django = "django.contrib.sessions.middleware.SessionMiddleware"
    settings.MIDDLEWARE = [django, *settings.MIDDLEWARE[1:]]
    phone.handler._middleware_chain = None  # as in a process that has just been started
    assert [whoami(phone), whoami(phone)] == ["ada", "ada"]
