"""What Django and DRF have to sign a test in: what it is to pages and to the API (docs/testing.md)."""

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from rest_framework.test import APIClient, APIRequestFactory, force_authenticate

from authx.models import DeviceSession
from authx.testing import token_for
from tests.site import views

pytestmark = pytest.mark.django_db
API, PAGE, OWN = "/api/whoami/", "/whoami/", "/api/auth/session/"


def forced(client, user):
    client.force_login(user)


def aforced(client, user):
    async_to_sync(client.aforce_login)(user)


def by_password(client, user):
    assert client.login(username=user.get_username(), password="correct-horse-battery-staple")


def get(client, path):
    call = async_to_sync(client.get) if isinstance(client, AsyncClient) else client.get
    return call(path)


@pytest.mark.parametrize("kind", [Client, APIClient, AsyncClient])
@pytest.mark.parametrize("sign_in", [forced, aforced, by_password])
@pytest.mark.parametrize("first", [PAGE, API, OWN])
def test_a_forced_login_is_a_device_session_everywhere(first, sign_in, kind, ada):
    client = kind()
    sign_in(client, ada)
    get(client, first)
    session = DeviceSession.objects.live().get()
    assert get(client, PAGE).json() == {"user": "ada", "session": str(session.pk)}
    assert get(client, API).json() == {"user": str(ada.pk), "sid": str(session.pk)}
    assert get(client, OWN).json()["id"] == str(session.pk)


def test_a_forced_authentication_is_the_apis_alone(ada):
    client = APIClient()
    client.force_authenticate(ada)
    assert client.get(API).json() == {"user": str(ada.pk), "sid": None}
    assert client.get(PAGE).json() == {"user": None, "session": None}
    assert client.get(OWN).status_code == 403
    assert not DeviceSession.objects.exists()


def test_credentials_are_those_of_the_token(ada):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_for(ada)}")
    session = DeviceSession.objects.get()
    assert client.get(API).json()["sid"] == str(session.pk)
    assert client.get(PAGE).json() == {"user": None, "session": None}


@pytest.mark.parametrize("factory", [RequestFactory, AsyncRequestFactory])
def test_a_bare_request_is_what_the_test_makes_of_it(factory, ada):
    request = factory().get("/")
    request.user = ada
    assert not hasattr(request, "device_session")
    with pytest.raises(AttributeError, match="device_session"):
        views.whoami(request)


@pytest.mark.parametrize("factory", [RequestFactory, APIRequestFactory])
def test_an_api_view_takes_a_bare_request(factory, ada):
    view = views.ApiWhoami.as_view()
    request = factory().get("/")
    force_authenticate(request, ada)
    assert view(request).data == {"user": str(ada.pk), "sid": None}
    request = factory().get("/", HTTP_AUTHORIZATION=f"Bearer {token_for(ada)}")
    assert view(request).data["sid"] == str(DeviceSession.objects.get().pk)
    assert view(factory().get("/")).status_code == 401
