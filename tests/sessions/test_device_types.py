"""AUTHX_DEVICE_CLASSIFIER: the site decides what kind of device a login comes from."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.test import Client
from rest_framework.views import APIView

from authx.conf import conf
from authx.errors import SessionLimitReached
from authx.models import DeviceSession
from authx.sessions import Device, open_session

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LOGIN = "/api/auth/login/"

#: What the classifier has been asked, and what it answers.
asked: list = []
answers: list = []


def classify(request, claimed):
    asked.append((request, claimed))
    return answers[0]


async def classify_later(request, claimed):
    return "web"


@pytest.fixture(autouse=True)
def answer(settings):
    """Let the site's function answer this."""
    settings.AUTHX_DEVICE_CLASSIFIER = f"{__name__}.classify"
    asked.clear()

    def become(value):
        answers[:] = [value]

    become("ios")
    return become


def opened(user, *args, **kwargs):
    return open_session(user, *args, **kwargs).session.device_type


@pytest.mark.parametrize("claimed", ["", "web", "android", "ios"])
def test_what_it_says_holds_whatever_the_client_claims(ada, claimed):
    assert opened(ada, None, Device(type=claimed)) == "ios"
    assert asked == [(None, claimed)]


@pytest.mark.parametrize("nothing", [None, ""], ids=["none", "empty"])
def test_where_it_says_nothing_the_rule_without_it_holds(ada, rf, answer, nothing):
    answer(nothing)
    assert opened(ada, None, Device(type="desktop")) == "desktop"
    assert opened(ada, rf.get("/", headers={"user-agent": FIREFOX})) == "web"
    assert opened(ada) == "other"


def test_without_one_nothing_is_asked(ada, settings):
    settings.AUTHX_DEVICE_CLASSIFIER = None
    assert opened(ada, None, Device(type="desktop")) == "desktop"
    assert asked == []


def test_it_is_given_djangos_request(ada, rf):
    request = rf.get("/")
    open_session(ada, request)
    open_session(ada, APIView().initialize_request(request))
    assert asked == [(request, ""), (request, "")]


@pytest.mark.parametrize("door", ["page", "django", "admin", "cookie", "body"])
def test_every_door_asks_once(admin, password, door):
    name = admin.get_username()
    form = {"username": name, "password": password}
    if door in {"cookie", "body"}:
        body = form | {"transport": door, "device": {"type": "android"}}
        response = Client().post(LOGIN, body, content_type="application/json")
    else:
        path = {"page": "/account/login/", "django": "/django-login/", "admin": "/admin/login/"}[door]
        response = Client().post(path, form | {"next": "/whoami/"})
    assert response.status_code in {200, 302}
    assert DeviceSession.objects.get().device_type == "ios"
    ((request, claimed),) = asked
    assert isinstance(request, HttpRequest)
    assert claimed == ("android" if door in {"cookie", "body"} else "")


def test_nobody_gets_round_a_limit_by_naming_another_type(ada, settings):
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 1, "when_full": "refuse"}]
    open_session(ada, None, Device(type="ios"))
    for claimed in conf.DEVICE_TYPES:
        with pytest.raises(SessionLimitReached):
            open_session(ada, None, Device(type=claimed))


@pytest.mark.parametrize("wrong", ["tablet", "IOS", 7, ["ios"], True], ids=str)
def test_a_type_that_is_none_is_an_error_of_the_site_before_anything_opens(ada, answer, wrong):
    answer(wrong)
    with pytest.raises(ImproperlyConfigured, match=r"AUTHX_DEVICE_CLASSIFIER.*AUTHX_DEVICE_TYPES"):
        open_session(ada, None, Device(type="ios"))
    assert not DeviceSession.objects.exists()


@pytest.mark.filterwarnings("error")
def test_an_async_function_is_refused_and_says_so(ada, settings):
    settings.AUTHX_DEVICE_CLASSIFIER = f"{__name__}.classify_later"
    with pytest.raises(ImproperlyConfigured, match="coroutine"):
        open_session(ada)


def test_whoever_is_signed_in_already_notices_nothing_of_its_errors(ada, password, answer):
    browser = Client()
    browser.post("/account/login/", {"username": ada.get_username(), "password": password})
    answer("tablet")
    assert browser.get("/whoami/").json()["session"] is not None
