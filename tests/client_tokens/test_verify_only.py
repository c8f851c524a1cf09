"""Clients at a service that only verifies: views and sockets, by feed and introspection, secret and key."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.urls import reverse
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from authx.api.authentication import BearerAuthentication, DelegatedAuthentication
from authx.api.permissions import HasScope
from authx.conf import conf
from authx.core.keys import Key
from authx.errors import StoreUnavailable
from authx.gate.issuer_http import fetch_json
from authx.gate.principal import Principal
from authx.gate.revocation.remote import RemoteFeed
from authx.issuer import create_client
from authx.sessions import end_session, open_session
from tests.clients import API, SCOPE, exchanged, granted, make_client, service_token, signed
from tests.gate import test_remote
from tests.in_process import Echo, Watched, apart, connect, in_loop

pytestmark = pytest.mark.django_db(transaction=True)

issuer_site, service_credentials, remote = (
    test_remote.issuer_site,
    test_remote.service_credentials,
    test_remote.remote,
)


@pytest.fixture(params=["secret", "key"])
def service(request, remote):
    """This process, as the service that ``API`` is."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    if request.param == "key":
        jwks = {"keys": [Key.load(pem).public_jwk()]}
        client, _ = create_client("orders", audience=API, auth_method="private_key_jwt", jwks=jwks)
        remote.AUTHX_SERVICE_CREDENTIALS = {"client_id": client.client_id, "key": pem}
    else:
        client, secret = create_client("orders", audience=API)
        remote.AUTHX_SERVICE_CREDENTIALS = (client.client_id, secret)
    return remote


@pytest.fixture(params=["feed", "introspection"])
def asking(request, service, issuer_site):
    """How it asks about endings."""
    if request.param == "feed":
        service.AUTHX_REVOCATIONS_URL = issuer_site.url + reverse("authx-api:revocations")
    else:
        service.AUTHX_INTROSPECTION_URL = issuer_site.url + reverse("authx-api:introspect")


def ask(token, authentication=None):
    class Orders(APIView):
        authentication_classes = [authentication or DelegatedAuthentication(API)]
        permission_classes = [HasScope(SCOPE)]

        def get(self, request):
            assert isinstance(request.user, Principal)
            return Response({"user": request.user.pk})

    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})
    answer = Orders.as_view()(request)
    return answer.status_code, answer.data


@pytest.mark.usefixtures("asking")
def test_each_kind_of_token_is_good_until_its_session_ends(ada):
    login = open_session(ada)
    app = granted(make_client(), login.session)
    claims, own = service_token(make_client("service-1"))
    assert ask(app.access_token) == (200, {"user": str(ada.pk)})
    assert ask(exchanged(login.claims)) == (200, {"user": str(ada.pk)})
    assert ask(own) == (200, {"user": "client:service-1"})
    end_session(login.session, "kicked")
    assert ask(exchanged(login.claims))[0] == 401
    assert ask(app.access_token)[0] == 200
    end_session(app.session, "kicked")
    assert ask(app.access_token)[0] == 401
    assert claims.is_of_a_service


@pytest.mark.usefixtures("asking")
def test_a_client_is_no_login_there_and_a_login_no_client(ada, settings):
    """Whether or not the service goes by the name that the tokens are for."""
    login = open_session(ada)
    app = granted(make_client(), login.session)
    settings.AUTHX_AUDIENCE = [API, "authx"]
    for token in (app.access_token, exchanged(login.claims), signed(app.claims, aud=("authx",))):
        assert ask(token, BearerAuthentication)[0] == 401
    assert ask(login.access_token)[0] == 401
    assert ask(signed(login.claims, aud=(API,), scope=SCOPE))[0] == 401


def test_its_own_name_is_the_resource_where_none_is_named(service, ada):
    app = granted(make_client(), open_session(ada).session, audience=["orders"])
    assert ask(app.access_token, DelegatedAuthentication)[0] == 401
    service.AUTHX_AUDIENCE = "orders"
    assert ask(app.access_token, DelegatedAuthentication)[0] == 200


def test_the_feed_goes_on_from_where_it_was(service, issuer_site, ada):
    """Also where the cursor stands in a form, beside the proof of a key."""
    asked = []

    def fetch(url, **how):
        asked.append((url, how.get("form")))
        return fetch_json(url, **how)

    feed = RemoteFeed(issuer_site.url + reverse("authx-api:revocations"), fetch=fetch)
    first = feed.read()
    opened = open_session(ada)
    end_session(opened.session, "kicked")
    second = feed.read()
    assert (first.whole, second.whole) == (True, False)
    assert second.ended == {str(opened.session.pk): "kicked"}
    by_key = isinstance(conf.SERVICE_CREDENTIALS, dict)
    assert [form is not None for _url, form in asked] == [by_key] * len(asked)
    assert ["since=" in url for url, _form in asked] == [False, not by_key]


def test_a_key_that_is_not_registered_reads_nothing(service, issuer_site):
    if isinstance(conf.SERVICE_CREDENTIALS, dict):
        other = ec.generate_private_key(ec.SECP256R1())
        pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        service.AUTHX_SERVICE_CREDENTIALS = {**conf.SERVICE_CREDENTIALS, "key": pem}
    else:
        service.AUTHX_SERVICE_CREDENTIALS = (conf.SERVICE_CREDENTIALS[0], "another")
    with pytest.raises(StoreUnavailable, match="401"):
        RemoteFeed(issuer_site.url + reverse("authx-api:revocations")).read()


@pytest.mark.usefixtures("asking")
def test_a_socket_is_for_clients_there_too(ada):
    login = open_session(ada)
    app = granted(make_client(), login.session)
    clients = {"resource": API, "scope": SCOPE}

    @in_loop
    async def let_in():
        watched, echo = Watched(time.time(), store="remote"), Echo()
        peer = connect(echo, clients=clients, bearer=app.access_token)
        await peer.accepted()
        assert echo.scopes[0]["user"].pk == str(ada.pk)
        assert (await echo.scopes[0]["authx"].auser()).pk == str(ada.pk)
        peer.hang_up()
        await peer.task
        await apart(end_session, app.session, "kicked")
        status, _body, _headers = await connect(clients=clients, bearer=app.access_token).refused()
        assert status == 401
        status, _body, _headers = await connect(bearer=exchanged(login.claims)).refused()
        assert status == 401
        del watched

    let_in()
