"""Nothing that is signed is good but in its own place, and no forged token is good anywhere.

Two tables: every artifact in every place that takes one (RFC 8725 §3.12), and every known attack on a token
through every door that reads an access token. ``test_tokens`` and ``test_refresh_wire`` look at the parsers;
here everything goes through the doors, and the database must be left as it was.
"""

from __future__ import annotations

import base64
import builtins
import gzip
import hashlib
import hmac
import json
import socket
import time
import zlib
from contextlib import contextmanager
from importlib import import_module
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.conf import settings as site
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import transaction
from django.test import Client
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from rest_framework.response import Response
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework.views import APIView

from authx.api.authentication import DelegatedAuthentication
from authx.api.permissions import HasScope
from authx.conf import conf, secret_keys
from authx.core import pkce
from authx.core.actor import NOBODY
from authx.core.authorization import AuthorizationRequest
from authx.core.client_assertion import ASSERTION_TYPE
from authx.core.derivation import derive_secret
from authx.core.keys import Key
from authx.core.login_proof import read_login_proof
from authx.errors import OAuthError, RefreshError, TokenError
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.gate.service_credentials import write_assertion
from authx.gate.signature_cache import signatures
from authx.gate.verify import read_claims
from authx.issuer.clients import create_client
from authx.issuer.introspection import introspect, revoke
from authx.models import (
    AuthorizationCode,
    DeviceSession,
    RevocationLogEntry,
    ServiceClient,
    SessionEvent,
    UsedTicket,
)
from authx.sessions import Device, open_session, recognize, refresh_session
from authx.sessions.client_facts import facts_of
from authx.sessions.exchanging import exchange_token
from authx.sessions.granting import issue_code, redeem_code
from authx.sessions.service_tokens import service_token
from tests.clients import create_service
from tests.forging import as_raw, b64, changed, forge, sign, unb64
from tests.in_process import ORIGIN, opens
from tests.reading import find_by_refresh_token
from tests.token_endpoint import ACCESS_TOKEN, EXCHANGE

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db, pytest.mark.urls("tests.oauth_urls")]

WHOAMI, LOGIN, REFRESH, LOGOUT = "/api/whoami/", "/api/auth/login/", "/api/auth/refresh/", "/api/auth/logout/"
TICKET = "/api/auth/socket-ticket/"
SESSIONS, STAFF = "/api/auth/sessions/", "/api/auth/staff/sessions/"
TOKEN, FORM = "/oauth/token/", "application/x-www-form-urlencoded"
#: What clients in the matrix are for, and the one that redeems codes shows.
API, SCOPE, CALLBACK = "https://shop.example/api/", "orders:read", "https://app.example/done"
VERIFIER, SECRET = "v" * 43, "of every client but one"
INTROSPECT, REVOKE, FEED = "/api/auth/introspect/", "/api/auth/revoke/", "/api/auth/revocations/"


def stored():
    """Every row that a credential could change."""
    tables = (
        DeviceSession,
        SessionEvent,
        RevocationLogEntry,
        UsedTicket,
        AuthorizationCode,
        Session,
        get_user_model(),
    )
    found = {model: model._default_manager.all() for model in tables}
    refusals = SessionEvent.Kind.LOGIN_FAILED, SessionEvent.Kind.GRANT_REFUSED  # which change nothing
    found[SessionEvent] = SessionEvent.objects.exclude(kind__in=refusals)
    return {model: sorted(map(repr, rows.values_list())) for model, rows in found.items()}


def cookie(name, value):
    return {"Cookie": f"{name}={value}"}


# The N x N matrix


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def encryption(request, settings):
    """Whether the site encrypts its cookies while they are presented."""
    settings.AUTHX_LOGIN_RATE = settings.AUTHX_REFRESH_RATE = None
    return request.param


def cookies_of_a_login(ada, password, settings, *, encrypted):
    settings.AUTHX_COOKIE_ENCRYPTION = encrypted
    client = APIClient()
    body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    assert client.post(LOGIN, body).status_code == 200
    return {name: found.value for name, found in client.cookies.items()}


def old_django_login(ada, settings):
    """A Django session older than authx: its key, and the mark it is adopted under."""
    client = Client()
    settings.AUTHX_BIND_DJANGO_LOGIN = False
    client.force_login(ada)
    settings.AUTHX_BIND_DJANGO_LOGIN = True
    session = import_module(site.SESSION_ENGINE).SessionStore(client.cookies["sessionid"].value)
    session.pop("_authx_session", None)
    session.save()
    mark = hmac.digest(derive_secret(site.SECRET_KEY, "adoption"), session.session_key.encode(), "sha256")
    return session.session_key, mark.hex()


def proof_of_a_full_limit(ada, password, settings):
    """What a client without a device id is given where the limit of phones lets it choose."""
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 1, "when_full": "refuse", "choose": True}]
    open_session(ada, device=Device(type="ios"))
    body = {"username": ada.get_username(), "password": password, "device": {"type": "ios"}}
    return APIClient().post(LOGIN, body, format="json").json()["proof"]


def held_by_clients(login, settings):
    """What OAuth clients hold: an app that acts for the user of ``login``, and services that act for both."""
    settings.AUTHX_SCOPES, settings.AUTHX_RESOURCES = {SCOPE: "See your orders"}, {API: [SCOPE]}
    create_client("stock", audience=API)
    app, _ = create_client("app", redirect_uris=[CALLBACK], resources=[API], scope=SCOPE)
    caller, secret = create_client("caller", audience=conf.AUDIENCE[0], may_call=[API], scope=SCOPE)
    key = Key.derive("of a client")
    jwks = {"keys": [key.public_jwk()]}
    keyed, _ = create_client("keyed", auth_method="private_key_jwt", jwks=jwks, may_call=[API], scope=SCOPE)
    known = hashlib.sha256(SECRET.encode()).hexdigest()
    ServiceClient.objects.filter(name__in=["app", "stock"]).update(secret_hash=known)
    asked = AuthorizationRequest(
        client=facts_of(app),
        redirect_uri=CALLBACK,
        scope=(SCOPE,),
        resources=(API,),
        challenge=pkce.challenge_of(VERIFIER),
    )
    code = issue_code(app, login.session, asked)
    redeemed = issue_code(app, login.session, asked)
    credentials = redeem_code(app, redeemed, redirect_uri=CALLBACK, verifier=VERIFIER)
    subject = {"subject_token": [login.access_token], "subject_token_type": [ACCESS_TOKEN]}
    exchanged = exchange_token(caller, {**subject, "grant_type": [EXCHANGE], "audience": [API]})
    return {
        "client's access token": credentials.access_token,
        "client's refresh token": credentials.refresh_token,
        "service's own token": service_token(caller, audience=API)[1],
        "exchanged token": exchanged[1],
        "authorization code": code,
        "redeemed code": redeemed,
        "code challenge": asked.challenge,
        "hash of the code": hashlib.sha256(code.encode()).hexdigest(),
        "client's secret": secret,
        "client's id": app.client_id,
        "client assertion": write_assertion(keyed.client_id, key, audience=conf.ISSUER, now=time.time()),
    }


@pytest.fixture
def artifacts(ada, password, settings, encryption):
    """Everything that authx signs, hands out or keeps, by name. A new kind of artifact belongs here."""
    plain = cookies_of_a_login(ada, password, settings, encrypted=False)
    secret = cookies_of_a_login(ada, password, settings, encrypted=True)
    settings.AUTHX_COOKIE_ENCRYPTION = encryption
    page = Client()
    page.post("/account/login/", {"username": ada.get_username(), "password": password})
    django_session, mark = old_django_login(ada, settings)
    credentials = open_session(ada)
    row = DeviceSession.objects.get(pk=credentials.session.pk)
    service, service_secret = create_service("orders")
    feed = APIClient().get(FEED, headers=basic(service, service_secret)).json()
    proof = unb64(credentials.refresh_token.partition(".")[0])
    login_proof = proof_of_a_full_limit(ada, password, settings)
    return {
        "access token": credentials.access_token,
        "refresh token": credentials.refresh_token,
        "access cookie": plain[conf.ACCESS_COOKIE],
        "refresh cookie": plain[conf.REFRESH_COOKIE],
        "device cookie": plain[conf.DEVICE_COOKIE],
        "encrypted access cookie": secret[conf.ACCESS_COOKIE],
        "encrypted refresh cookie": secret[conf.REFRESH_COOKIE],
        "encrypted device cookie": secret[conf.DEVICE_COOKIE],
        "Django session": django_session,
        "bound Django session": page.cookies["sessionid"].value,
        "CSRF cookie": plain["csrftoken"],
        "adoption mark": mark,
        "device id": DeviceSession.objects.exclude(device_id="").first().device_id,
        "sid": str(row.pk),
        "sid without dashes": row.pk.hex,
        "jti": credentials.claims.jti,
        "salt": b64(bytes(row.salt)),
        "fingerprint": row.fingerprint,
        "header and payload of the access token": credentials.access_token.rpartition(".")[0],
        "signature of the access token": credentials.access_token.rpartition(".")[2],
        "payload of the refresh token": credentials.refresh_token.partition(".")[0],
        "signature of the refresh token": credentials.refresh_token.partition(".")[2],
        "proof of the refresh token": b64(proof[26:]),
        "login proof": login_proof,
        "nonce of the login proof": read_login_proof(login_proof, secret_keys()).nonce,
        "feed cursor": feed["cursor"],
        "service's secret": service_secret,
        "service's id": service.client_id,
        "socket ticket": ticket_of(credentials),
        "Django's own signature": signing.dumps({"sid": str(row.pk)}),
        **held_by_clients(credentials, settings),
    }


def ticket_of(credentials):
    headers = {"Authorization": f"Bearer {credentials.access_token}"}
    return APIClient().post(TICKET, headers=headers).json()["ticket"]


def basic(service, secret):
    return {"Authorization": f"Basic {base64.b64encode(f'{service.client_id}:{secret}'.encode()).decode()}"}


BEARERS = {"access token", "access cookie"}
ACCESS_COOKIES = {*BEARERS, "encrypted access cookie"}
REFRESHERS = {"refresh token", "refresh cookie"}
REFRESH_COOKIES = {*REFRESHERS, "encrypted refresh cookie"}
#: What is for the API of ``held_by_clients``, and what belongs to the app's own session.
DELEGATED = {"client's access token", "service's own token", "exchanged token"}
OF_THE_APP = {"client's access token", "client's refresh token"}
DEVICE_COOKIES = {"device cookie", "encrypted device cookie"}


def by_bearer(value):
    return APIClient().get(WHOAMI, headers={"Authorization": f"Bearer {value}"}).status_code == 200


def by_access_cookie(value):
    return APIClient().get(WHOAMI, headers=cookie(conf.ACCESS_COOKIE, value)).status_code == 200


def by_access_cookie_on_a_page(value):
    return Client().get("/whoami/", headers=cookie(conf.ACCESS_COOKIE, value)).json()["user"] is not None


def by_refresh_cookie_on_a_page(value):
    return Client().get("/whoami/", headers=cookie(conf.REFRESH_COOKIE, value)).json()["user"] is not None


def by_refresh_cookie(value):
    return APIClient().post(REFRESH, headers=cookie(conf.REFRESH_COOKIE, value)).status_code == 200


def by_refresh_body(value):
    return APIClient().post(REFRESH, {"refresh_token": value}).status_code == 200


def by_django_session(value):
    return Client().get("/whoami/", headers=cookie("sessionid", value)).json()["user"] is not None


def by_device_cookie_as_any_other(value):
    """The device cookie alone is no credential."""
    return Client().get("/whoami/", headers=cookie(conf.DEVICE_COOKIE, value)).json()["user"] is not None


def logs_out_by(**request):
    """True if a logout ended a session; a browser with bad cookies is told 204 all the same."""
    live = DeviceSession.objects.live().count()
    assert APIClient().post(LOGOUT, **request).status_code in {204, 400, 401}
    return DeviceSession.objects.live().count() < live


def is_a_services_secret(value):
    service = ServiceClient.objects.get(name="orders")
    header = basic(service, value)
    answer = APIClient().post(INTROSPECT, {"token": "x"}, headers=header)
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


def by_login_proof(value):
    """In place of a password, to end the phone that is signed in."""
    phone = DeviceSession.objects.live().get(device_type="ios")
    body = {"proof": value, "end": str(phone.pk), "device": {"type": "ios"}}
    return APIClient().post(LOGIN, body, format="json").status_code == 200


class Orders(APIView):
    """A view for clients."""

    authentication_classes = [DelegatedAuthentication(API)]
    permission_classes = [HasScope(SCOPE)]

    def get(self, request):
        return Response({})


def by_bearer_as_a_client(value):
    request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {value}"})
    return Orders.as_view()(request).status_code == 200


def at_the_token_endpoint(name, **form):
    """Present an artifact as this parameter; ``client`` names who does, by a secret that it may be itself."""

    def take(value):
        client = ServiceClient.objects.get(name=form["client"])
        sent = {**form, "client_id": client.client_id, name: value}
        del sent["client"]
        answer = Client().post(TOKEN, urlencode(sent), content_type=FORM)
        assert answer.status_code in {200, 400, 401}, answer.content
        return answer.status_code == 200

    return take


def is_known_to(name):
    """Whether introspection by this client says that it is active."""
    return lambda value: introspect(value, ServiceClient.objects.get(name=name)) is not None


def is_revoked_by(name):
    """Whether revocation by this client would end a session; none is ended."""

    def would_end(value):
        with transaction.atomic():
            try:
                return revoke(value, ServiceClient.objects.get(name=name), NOBODY)
            except OAuthError:
                return False
            finally:
                transaction.set_rollback(True)

    return would_end


AS_THE_APP = {"client": "app", "client_secret": SECRET}
ITSELF = {"grant_type": "client_credentials", "audience": API}


def in_python(read, error):
    def is_read(value):
        try:
            return read(value) is not None
        except error:
            return False

    return is_read


#: Every place that takes an artifact, and the artifacts that are at home there.
PLACES = {
    "Bearer": (by_bearer, BEARERS),
    "access cookie, API": (by_access_cookie, ACCESS_COOKIES),
    "access cookie, page": (by_access_cookie_on_a_page, ACCESS_COOKIES),
    "refresh cookie, page": (by_refresh_cookie_on_a_page, REFRESH_COOKIES),
    "refresh cookie, refresh/": (by_refresh_cookie, REFRESH_COOKIES),
    "refresh_token, refresh/": (by_refresh_body, REFRESHERS),
    "Django session, page": (by_django_session, {"Django session", "bound Django session"}),
    "device cookie, page": (by_device_cookie_as_any_other, set()),
    "Bearer, logout/": (lambda v: logs_out_by(headers={"Authorization": f"Bearer {v}"}), BEARERS),
    "refresh_token, logout/": (lambda v: logs_out_by(data={"refresh_token": v}), REFRESHERS),
    "access cookie, logout/": (lambda v: logs_out_by(headers=cookie(conf.ACCESS_COOKIE, v)), ACCESS_COOKIES),
    "refresh cookie, logout/": (
        lambda v: logs_out_by(headers=cookie(conf.REFRESH_COOKIE, v)),
        REFRESH_COOKIES,
    ),
    "proof, login/": (by_login_proof, {"login proof"}),
    "socket, Bearer": (lambda v: opens(bearer=v), BEARERS),
    "socket, subprotocol": (lambda v: opens(subprotocols=["authx", f"authx.bearer.{v}"]), BEARERS),
    "socket, ticket": (lambda v: opens(subprotocols=["authx", f"authx.ticket.{v}"]), {"socket ticket"}),
    "socket, access cookie": (
        lambda v: opens(cookies={conf.ACCESS_COOKIE: v}, origin=ORIGIN),
        ACCESS_COOKIES,
    ),
    "service's secret": (is_a_services_secret, {"service's secret"}),
    "verify_access_token": (in_python(verify_access_token, TokenError), BEARERS),
    "recognize": (in_python(recognize, TokenError), BEARERS),
    "read_claims": (in_python(read_claims, TokenError), BEARERS),
    "refresh_session": (in_python(refresh_session, RefreshError), REFRESHERS),
    "find_by_refresh_token": (in_python(find_by_refresh_token, RefreshError), REFRESHERS),
    "introspect, a service": (is_known_to("orders"), BEARERS | REFRESHERS | {"client's refresh token"}),
    "introspect, the app": (is_known_to("app"), OF_THE_APP),
    "introspect, whom it is for": (is_known_to("stock"), DELEGATED),
    "revoke, a service": (is_revoked_by("orders"), BEARERS | REFRESHERS | DELEGATED | OF_THE_APP),
    "revoke, the app": (is_revoked_by("app"), OF_THE_APP),
    "revoke, whom it is for": (is_revoked_by("stock"), set()),
    "Bearer, view for clients": (by_bearer_as_a_client, DELEGATED),
    "socket for clients, Bearer": (
        lambda v: opens(bearer=v, clients={"resource": API, "scope": SCOPE}),
        BEARERS | DELEGATED,
    ),
    "socket for clients, subprotocol": (
        lambda v: opens(
            subprotocols=["authx", f"authx.bearer.{v}"], clients={"resource": API, "scope": SCOPE}
        ),
        BEARERS | DELEGATED,
    ),
    "socket for clients, access cookie": (
        lambda v: opens(
            cookies={conf.ACCESS_COOKIE: v}, origin=ORIGIN, clients={"resource": API, "scope": SCOPE}
        ),
        ACCESS_COOKIES,
    ),
    "code, token/": (
        at_the_token_endpoint(
            "code",
            grant_type="authorization_code",
            redirect_uri=CALLBACK,
            code_verifier=VERIFIER,
            **AS_THE_APP,
        ),
        {"authorization code"},
    ),
    "refresh_token, token/": (
        at_the_token_endpoint("refresh_token", grant_type="refresh_token", **AS_THE_APP),
        {"client's refresh token"},
    ),
    "client_secret, token/": (
        at_the_token_endpoint("client_secret", client="caller", **ITSELF),
        {"client's secret"},
    ),
    "client_assertion, token/": (
        at_the_token_endpoint(
            "client_assertion", client="keyed", client_assertion_type=ASSERTION_TYPE, **ITSELF
        ),
        {"client assertion"},
    ),
    "subject_token, exchange": (lambda v: is_exchanged(v), BEARERS),
}


def is_exchanged(value):
    """By the service that the tokens of logins are for."""
    caller = ServiceClient.objects.get(name="caller")
    form = {"subject_token": [value], "subject_token_type": [ACCESS_TOKEN], "audience": [API]}
    try:
        return exchange_token(caller, {**form, "grant_type": [EXCHANGE]}) is not None
    except OAuthError:
        return False


@pytest.mark.parametrize("place", PLACES)
def test_an_artifact_is_good_in_its_own_place_alone(place, artifacts):
    """Whoever is not at home is presented first, and must leave no trace."""
    take, at_home = PLACES[place]
    assert at_home <= artifacts.keys()
    strangers = {name: value for name, value in artifacts.items() if name not in at_home}
    before = stored()
    assert {name for name, value in strangers.items() if take(value)} == set()
    assert stored() == before
    assert {name for name in sorted(at_home) if take(artifacts[name])} == at_home


def test_a_session_is_named_by_its_sid_alone(artifacts):
    """``sessions/<sid>/``; opening a session for whoever asks is a trace of the test's own."""
    ada = get_user_model().objects.get(email="ada@example.com")
    headers = {"Authorization": f"Bearer {open_session(ada).access_token}"}
    client = APIClient()
    client.get(WHOAMI, headers=headers)
    before = stored()
    strangers = [value for name, value in artifacts.items() if name != "sid"]
    for path in (SESSIONS, STAFF):
        for value in strangers:
            named = f"{path}{quote(value, safe='')}/"
            assert client.patch(named, {"name": "renamed"}, headers=headers).status_code == 404
            assert client.delete(named, headers=headers).status_code == 404
            assert client.post(f"{named}kick/", headers=headers).status_code == 404
    assert stored() == before
    assert client.patch(f"{SESSIONS}{artifacts['sid']}/", {"name": "x"}, headers=headers).status_code == 200


def test_only_a_cursor_of_the_feed_is_a_place_in_it(artifacts):
    service, secret = create_service("another reader")
    headers = basic(service, secret)
    assert APIClient().get(FEED, headers=headers).status_code == 200  # whose last use is now written down
    before = stored()
    for name, value in artifacts.items():
        answer = APIClient().get(FEED, {"since": value}, headers=headers)
        assert (answer.status_code, answer.json()["whole"]) == (200, name != "feed cursor"), name
    assert stored() == before


def test_only_a_device_cookie_names_a_known_browser(artifacts, ada, password):
    """Everything else is a browser never seen before, which logs in all the same."""
    known = set(DeviceSession.objects.values_list("device_id", flat=True))
    body = {"username": ada.get_username(), "password": password, "transport": "cookie"}
    for name, value in artifacts.items():
        answer = APIClient().post(LOGIN, body, headers=cookie(conf.DEVICE_COOKIE, value))
        assert answer.status_code == 200, name
        opened = DeviceSession.objects.get(pk=answer.json()["session_id"])
        assert (opened.device_id in known) == (name in DEVICE_COOKIES), name


def test_no_artifact_is_a_way_to_somebody_elses_device(artifacts, bob, password):
    """``device.id`` is the client's to choose; it replaces the chooser's own sessions alone."""
    before = sorted(map(repr, DeviceSession.objects.values_list()))
    for value in artifacts.values():
        body = {"username": bob.get_username(), "password": password, "device": {"id": value}}
        assert APIClient().post(LOGIN, body).status_code in {200, 400}
    others = DeviceSession.objects.exclude(user=bob)
    assert sorted(map(repr, others.values_list())) == before


def test_no_artifact_is_a_csrf_token(artifacts, ada):
    client = APIClient(enforce_csrf_checks=True)
    credentials = open_session(ada)
    client.cookies[conf.ACCESS_COOKIE] = credentials.access_token
    client.cookies["csrftoken"] = artifacts.pop("CSRF cookie")
    for name, value in artifacts.items():
        assert client.post(LOGOUT, headers={"X-CSRFToken": value}).status_code == 403, name
    assert DeviceSession.objects.live().filter(pk=credentials.session.pk).exists()
    headers = {"X-CSRFToken": client.cookies["csrftoken"].value}
    assert client.post(LOGOUT, headers=headers).status_code == 204


def test_no_artifact_is_a_password(artifacts, ada, settings):
    settings.AUTHX_LOGIN_RATE = None
    before = stored()
    for name, value in artifacts.items():
        body = {"username": ada.get_username(), "password": value}
        assert APIClient().post(LOGIN, body).status_code == 401, name
    assert stored() == before


# The attacks


class World:
    """A live session of ada's, its token, and what an attacker makes of them."""

    def __init__(self, ada):
        self.credentials = open_session(ada)
        self.token = self.credentials.access_token
        self.head, self.body, self.signature = self.token.split(".")
        self.key = keyring.keyset().signing
        self.header = json.loads(unb64(self.head))
        self.payload = json.loads(unb64(self.body))

    def forged(self, *, head=None, body=None, key=None, **claims):
        """Signed by our own key, unless the key is the point."""
        head = self.header if head is None else head
        body = changed(self.payload, **claims) if body is None else body
        return forge(head, body, key or self.key)

    def with_header(self, **changes):
        return self.forged(head=changed(self.header, **changes))

    def hmac_by(self, secret, alg="HS256", digest=hashlib.sha256):
        signed = f"{b64(as_raw(changed(self.header, alg=alg)))}.{self.body}"
        return f"{signed}.{b64(hmac.digest(secret, signed.encode(), digest))}"


def spellings(key):
    """Our public key in every encoding that somebody could take for a secret."""
    jwk = key.public_jwk()
    public = {"EC": ECAlgorithm, "RSA": RSAAlgorithm, "OKP": OKPAlgorithm}[jwk["kty"]].from_jwk(jwk)
    info = PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(Encoding.PEM, info)
    bare = changed(jwk, kid=..., use=..., alg=...)
    found = {
        "PEM": pem,
        "PEM, stripped": pem.strip(),
        "PEM, CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM, one line": pem.replace(b"\n", b""),
        "DER": public.public_bytes(Encoding.DER, info),
        "JWK": json.dumps(jwk).encode(),
        "JWK, compact": json.dumps(jwk, separators=(",", ":")).encode(),
        "JWK, bare": json.dumps(bare, sort_keys=True, separators=(",", ":")).encode(),
        "JWK Set": json.dumps({"keys": [jwk]}).encode(),
        "SSH": public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "x or n": unb64(jwk.get("x") or jwk["n"]),
        "x or n, as text": (jwk.get("x") or jwk["n"]).encode(),
        "kid": jwk["kid"].encode(),
        "empty": b"",
    }
    if jwk["kty"] == "EC":
        found["point"] = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        found["compressed point"] = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    if jwk["kty"] == "RSA":
        found["PKCS#1"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    return found


ORDER = bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")  # of P-256
HMACS = [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"), ("ES256", "sha256")]
AS_SECRET = "PyJWT CVE-2017-11424 CVE-2022-29217 CVE-2026-48526, python-jose CVE-2024-33663"
ALGORITHMS = [
    "HS256",
    "RS256",
    "PS256",
    "EdDSA",
    "ES384",
    "ES256K",
    "es256",
    ...,
    None,
    ["ES256"],
    True,
    0,
    {},
]
EVIL = Key.derive("the attacker's own secret")
NONES = ["none", "None", "NONE", "nOnE"]
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
OUTSIDE = ["https://evil.example/jwks.json", "http://127.0.0.1:1/", "file:///etc/passwd", "//evil.example"]
WRONG_TYPES = ["JWT", "jwt", "rt+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "oauth-authz-req+jwt",
               "at+JWT ", "at", "", ..., None, ["at+jwt"], True]  # fmt: skip
KIDS = ["../../../../../../dev/null", "/proc/self/environ", "' OR '1'='1' --", "x' UNION SELECT 'secret'; --",
        "\0", "$(id)", "|sleep 9", "%00", "__class__", "0", "", ..., None, 0, True, [], {}]  # fmt: skip
JUGGLED = [..., None, True, False, 1.5, "", [], {}, [[]], {"$ne": None}, "\ud800", "a\0b"]


def attacks():
    """Name and forgery, made of a ``World``. What a peer got wrong has its CVE in the name."""
    for alg in NONES:
        yield f"alg {alg}, signed", lambda w, alg=alg: w.with_header(alg=alg)
        for signature in ("", "AA", "{signature}"):
            yield (
                f"jsonwebtoken CVE-2022-23540: alg {alg}, signature {signature!r}",
                lambda w, alg=alg, s=signature: (
                    f"{b64(as_raw(changed(w.header, alg=alg)))}.{w.body}.{s.format(signature=w.signature)}"
                ),
            )
    yield from signature_attacks()
    yield from header_attacks()
    yield from claim_attacks()
    yield from shape_attacks()


def signature_attacks():
    yield "signature stripped", lambda w: f"{w.head}.{w.body}."
    yield "signature and dot stripped", lambda w: f"{w.head}.{w.body}"
    for size in (1, 32, 64, 65):
        yield f"null signature of {size}", lambda w, size=size: f"{w.head}.{w.body}.{b64(bytes(size))}"
    one = b"\0" * 31 + b"\1"
    yield "psychic signature of ones", lambda w: f"{w.head}.{w.body}.{b64(one * 2)}"
    yield "the attacker's key", lambda w: w.forged(key=EVIL)
    yield "the attacker's key and kid", lambda w: w.forged(head=changed(w.header, kid=EVIL.kid), key=EVIL)
    yield "another token's signature", lambda w: f"{w.head}.{w.body}.{w.forged(jti='x').split('.')[2]}"
    yield "another token's payload", lambda w: f"{w.head}.{w.forged(jti='x').split('.')[1]}.{w.signature}"
    yield (
        "CVE-2022-21449: order of the curve",
        lambda w: f"{w.head}.{w.body}.{b64(ORDER * 2)}",
    )
    yield "signature in DER", lambda w: f"{w.head}.{w.body}.{b64(b'0E' + unb64(w.signature))}"
    for name in spellings(Key.derive("any")):
        for alg, digest in (
            ("HS256", "sha256"),
            ("HS384", "sha384"),
            ("HS512", "sha512"),
            ("ES256", "sha256"),
        ):
            yield (
                f"{AS_SECRET}: {alg} by {name}",
                lambda w, name=name, alg=alg, d=digest: w.hmac_by(spellings(w.key)[name], alg, d),
            )


def header_attacks():
    for alg in (
        "HS256",
        "RS256",
        "PS256",
        "EdDSA",
        "ES384",
        "ES256K",
        "es256",
        ...,
        None,
        ["ES256"],
        True,
        0,
        {},
    ):
        name = "Authlib CVE-2024-37568: no alg" if alg is ... else f"PyJWT CVE-2026-48523: alg {alg}"
        yield name, lambda w, alg=alg: w.with_header(alg=alg)
    for crit in (["b64"], ["exp"], ["x"], [], "b64", None):
        yield (
            f"PyJWT CVE-2026-32597, Authlib CVE-2025-59420: crit {crit}",
            lambda w, crit=crit: w.with_header(crit=crit, x=1),
        )
    yield "PyJWT CVE-2026-48525: b64 false", lambda w: w.with_header(b64=False, crit=["b64"])
    yield "PyJWT CVE-2026-48525: detached", lambda w: f"{w.head}..{w.signature}"
    yield "GHSA-8wjv-2p76-3863: nested header", lambda w: w.forged(head=DEEP)
    yield "GHSA-8wjv-2p76-3863: nested claims", lambda w: w.forged(body=DEEP)
    for key in (EVIL, None):
        whose = "the attacker's" if key else "ours"
        yield (
            f"Authlib CVE-2026-27962: jwk, {whose}",
            lambda w, key=key: w.forged(
                head=changed(w.header, kid=(key or w.key).kid, jwk=(key or w.key).public_jwk()), key=key
            ),
        )
        for name in ("jku", "x5u"):
            for url in OUTSIDE:
                yield (
                    f"golang-jwt, jwt_tool: {name} {url}, signed by {whose}",
                    lambda w, key=key, name=name, url=url: w.forged(
                        head=changed(w.header, kid=(key or w.key).kid, **{name: url}), key=key
                    ),
                )
    yield "x5c", lambda w: w.with_header(x5c=["MIIB"])
    yield (
        "go-jose CVE-2024-28180: zip bomb",
        lambda w: forge(
            changed(w.header, zip="DEF"), zlib.compress(as_raw(w.payload) + b" " * 4_000_000), w.key
        ),
    )
    yield "zip, not compressed", lambda w: w.with_header(zip="DEF")
    yield "gzip", lambda w: w.forged(body=gzip.compress(as_raw(w.payload)))
    for typ in WRONG_TYPES:
        yield f"J4: typ {typ!r}", lambda w, typ=typ: w.with_header(typ=typ)
    for kid in KIDS:
        yield f"J10: kid {kid!r}", lambda w, kid=kid: w.with_header(kid=kid)
    yield "J10: the attacker's kid over our key", lambda w: w.with_header(kid=EVIL.kid)
    yield "J7: alg twice", lambda w: w.forged(head=as_raw(w.header)[:-1] + b',"alg":"none"}')
    yield "J7: kid twice", lambda w: w.forged(head=b'{"kid":"x",' + as_raw(w.header)[1:])


def claim_attacks():
    for claim in ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid"):
        for value in JUGGLED:
            yield f"J5, J6: {claim} {value!r}", lambda w, c=claim, v=value: w.forged(**{c: v})
    for claim in ("gen", "auth_time", "nbf", "amr"):
        for value in (True, 1.5, "1", {}, [1]):
            yield f"J6: {claim} {value!r}", lambda w, c=claim, v=value: w.forged(**{c: v})
    for claim, number in (("exp", b"NaN"), ("exp", b"1e308"), ("exp", b"1" + b"0" * 4000), ("iat", b"-1"),
                          ("exp", b'"9_999_999_999"'), ("iat", b"-1000000000000000000")):  # fmt: skip
        yield (
            f"J6: {claim} {number[:24].decode()}",
            lambda w, c=claim, n=number: w.forged(
                body=as_raw(changed(w.payload, **{c: ...}))[:-1] + b',"%s":%s}' % (c.encode(), n)
            ),
        )
    yield "J7: sub twice", lambda w: w.forged(body=as_raw(w.payload)[:-1] + b',"sub":"1"}')
    yield "expired", lambda w: w.forged(iat=w.payload["iat"] - 3600, exp=w.payload["iat"] - 1800)
    yield "from the future", lambda w: w.forged(iat=w.payload["iat"] + 60, exp=w.payload["exp"] + 60)
    yield "not before tomorrow", lambda w: w.forged(nbf=w.payload["iat"] + 86400)
    yield "lives for years", lambda w: w.forged(exp=w.payload["exp"] + 10**8)
    yield (
        "golang-jwt CVE-2024-51744: expired and badly signed",
        lambda w: w.forged(iat=0, exp=900).rpartition(".")[0] + "." + w.signature,
    )
    for issuer in ("auth", "authx/", "authx.evil", "AUTHX", " authx", "authx\u200b", "https://evil.example"):
        yield (
            f"PyJWT CVE-2024-53861, Supabase CVE-2026-31813: iss {issuer!a}",
            lambda w, issuer=issuer: w.forged(iss=issuer),
        )
    yield "PyJWT CVE-2024-53861: iss a list", lambda w: w.forged(iss=[w.payload["iss"]])
    for audience in ([], [""], ["other"], "auth", ["a", "u", "t", "h", "x"], {"authx": 1}, [["authx"]]):
        yield f"golang-jwt CVE-2020-26160: aud {audience}", lambda w, a=audience: w.forged(aud=a)
    yield "J11: another user", lambda w: w.forged(sub=str(int(w.payload["sub"]) + 1))
    yield "J11: another session", lambda w: w.forged(sid="01890a5d-ac96-774b-bcce-b302099a8057")
    yield "J11: a sid that is none", lambda w: w.forged(sid="0 OR 1=1")


def shape_attacks():
    for where, template in {
        "signature": "{0}.{1}.{2}=", "payload": "{0}.{1}=.{2}", "header": "{0}=.{1}.{2}",
        "signature, twice": "{0}.{1}.{2}==",
    }.items():  # fmt: skip
        yield f"PyJWT #1209: padded {where}", lambda w, t=template: t.format(w.head, w.body, w.signature)
    yield "golang-jwt CVE-2025-30204: a million dots", lambda w: "." * 1_000_000
    yield "go-jose CVE-2025-27144: dots after a token", lambda w: w.token + "." * 100_000
    yield (
        "go-jose CVE-2026-34986, python-jose CVE-2024-33664: JWE",
        lambda w: f"{b64(as_raw({'alg': 'dir', 'enc': 'A256GCM', 'zip': 'DEF'}))}..{w.body}.{w.body}.AA",
    )
    yield (
        "PBES2",
        lambda w: f"{b64(as_raw({'alg': 'PBES2-HS256+A128KW', 'p2c': 2**31, 'enc': 'A128GCM'}))}.AA.AA.AA.AA",
    )
    yield "Authlib CVE-2025-61920: 10 MB header", lambda w: f"{'A' * 10_000_000}.{w.body}.{w.signature}"
    yield "Authlib CVE-2025-61920: a kid of 1 MB", lambda w: w.with_header(kid="k" * 1_000_000)
    yield "a payload over 8 KiB", lambda w: w.forged(x="a" * 8200)
    yield (
        "JSON serialization",
        lambda w: json.dumps({"protected": w.head, "payload": w.body, "signature": w.signature}),
    )
    yield "flat JSON in base64", lambda w: b64(json.dumps({"payload": w.body}).encode())
    yield "spare bits", lambda w: w.token[:-1] + spare(w.token[-1])
    yield "standard base64", lambda w: (w.token + "-_").replace("-", "+").replace("_", "/")
    yield "percent-encoded", lambda w: quote(w.token).replace(".", "%2E")
    yield "encoded twice", lambda w: ".".join(b64(part.encode()) for part in w.token.split("."))
    yield (
        "header spelled with spaces, signature kept",
        lambda w: f"{b64(json.dumps(w.header, indent=1).encode())}.{w.body}.{w.signature}",
    )
    yield (
        "claims in another order, signature kept",
        lambda w: f"{w.head}.{b64(json.dumps(dict(reversed(w.payload.items()))).encode())}.{w.signature}",
    )
    yield "UTF-16 claims", lambda w: w.forged(body=json.dumps(w.payload).encode("utf-16"))
    yield "a byte order mark", lambda w: w.forged(body=b"\xef\xbb\xbf" + as_raw(w.payload))
    yield "swapped case", lambda w: w.token.swapcase()
    yield "backwards", lambda w: w.token[::-1]
    yield "twice", lambda w: w.token + w.token
    yield "segments turned round", lambda w: f"{w.body}.{w.head}.{w.signature}"
    yield "a NUL at the end", lambda w: w.token + "\0"
    yield "a space within", lambda w: f"{w.head}. {w.body}.{w.signature}"
    yield "signed over its padding", lambda w: sign(w.head, w.body + "=", w.key)
    yield "nothing", lambda w: "."
    yield "null", lambda w: "null"


def spare(last):
    """The next character, which differs in bits that say nothing: 64 octets leave four of them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(last) + 1]


NAMED = list(attacks())
ATTACKS = dict(NAMED)

#: Every door that reads an access token, and says whether it let it in.
DOORS = {
    "API, Bearer": by_bearer,
    "API, cookie": by_access_cookie,
    "page, cookie": by_access_cookie_on_a_page,
    "logout": lambda token: logs_out_by(headers={"Authorization": f"Bearer {token}"}),
    "recognize": in_python(recognize, TokenError),
    "verify_access_token": in_python(verify_access_token, TokenError),
    "introspect": is_known_to("orders"),
    "revoke": is_revoked_by("orders"),
}
#: These take tokens of ours whomever they are for: their audience decides who may ask about them.
OF_ANY_AUDIENCE = {"introspect", "revoke"}


@contextmanager
def no_world_outside():
    """Any socket made, any name looked up and any file opened is an error."""

    def blocked(*args, **kwargs):
        raise AssertionError(f"reading a token reached for the world: {args!r:.80}")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("getaddrinfo", "create_connection", "gethostbyname"):
            patch.setattr(socket, name, blocked)
        patch.setattr(socket.socket, "connect", blocked)
        patch.setattr(builtins, "open", blocked)
        yield


@pytest.fixture
def world(ada):
    """The token is known to be good at every door, and its signature is remembered."""
    made = World(ada)
    create_service("orders")
    for name in DOORS.keys() - {"logout"}:
        assert DOORS[name](made.token), name
    assert not DOORS["logout"]("garbage")  # whatever a refusal imports is imported
    return made


def refused_everywhere(token, *, but=frozenset()):
    if not ServiceClient.objects.filter(name="orders").exists():
        create_service("orders")
    before, remembered = stored(), len(signatures)
    with no_world_outside():
        assert {name for name, lets_in in DOORS.items() if lets_in(token)} <= but
    assert stored() == before
    return len(signatures) - remembered


@pytest.mark.parametrize("name", ATTACKS, ids=ascii)
def test_a_forged_token_is_refused_at_every_door(name, world):
    refused_everywhere(ATTACKS[name](world), but={"revoke"} if ": aud " in name else set())
    assert DOORS["logout"](world.token)  # and only now has the session ended


def test_what_the_forger_leaves_as_it_was_is_let_in(world):
    """So that an attack is refused for what is wrong with it. Also: no two attacks share a name."""
    assert len(ATTACKS) == len(NAMED)
    for token in (world.forged(), world.forged(x=1), world.with_header(typ="application/AT+jwt", x=1)):
        assert [name for name in DOORS if name != "logout" and not DOORS[name](token)] == []
    assert DOORS["logout"](world.forged())


def pem_of(private):
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


PRIVATE = {
    "RS256": pem_of(rsa.generate_private_key(65537, 2048)),
    "PS256": pem_of(rsa.generate_private_key(65537, 2048)),
    "ES256": pem_of(ec.generate_private_key(ec.SECP256R1())),
    "EdDSA": pem_of(ed25519.Ed25519PrivateKey.generate()),
}


@pytest.fixture(params=PRIVATE)
def configured(request, settings):
    """The site signs with a key of each kind."""
    settings.AUTHX_SIGNING_KEYS = [{"key": PRIVATE[request.param], "alg": request.param}]
    return request.param


def test_no_spelling_of_a_configured_key_is_a_secret(configured, ada):
    made = World(ada)
    assert made.header["alg"] == configured
    assert by_bearer(made.token)
    for name, secret in spellings(made.key).items():
        for alg in ("HS256", "HS512", configured):
            assert not by_bearer(made.hmac_by(secret, alg)), name


def test_a_configured_key_is_good_for_its_own_algorithm_alone(configured, ada):
    """Two RSA algorithms can use one key, and both signatures are sound."""
    made = World(ada)
    other = {"RS256": "PS256", "PS256": "RS256"}.get(configured)
    if other is None:
        refused_everywhere(made.with_header(alg="RS256"))
        return
    twin = Key.load(PRIVATE[configured], alg=other)
    assert twin.kid == made.key.kid
    refused_everywhere(made.forged(key=twin))
    refused_everywhere(made.forged(head=changed(made.header, alg=other), key=twin))


def test_a_withdrawn_key_verifies_nothing_though_its_signatures_are_remembered(ada, settings, configured):
    made = World(ada)
    assert by_bearer(made.token)
    settings.AUTHX_SIGNING_KEYS = [PRIVATE["ES256" if configured != "ES256" else "EdDSA"]]
    refused_everywhere(made.token)


@pytest.mark.parametrize(
    ("name", "value"), [("AUTHX_AUDIENCE", ["elsewhere"]), ("AUTHX_ISSUER", "https://elsewhere.example")]
)
def test_oathkeeper_cve_2026_33496_what_is_remembered_is_judged_anew(name, value, world, settings):
    setattr(settings, name, value)
    refused_everywhere(world.token, but=OF_ANY_AUDIENCE if name == "AUTHX_AUDIENCE" else set())


def test_what_was_refused_is_not_remembered(world):
    for name in ("the attacker's key", "signature stripped", "J4: typ 'JWT'", "spare bits"):
        assert refused_everywhere(ATTACKS[name](world)) == 0


def test_python_jose_cve_2016_7036_a_proof_is_compared_in_constant_time(world, monkeypatch):
    """Whatever compares a proof of ours is ``hmac.compare_digest``."""
    compared, compare = [], hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    token = world.credentials.refresh_token
    assert find_by_refresh_token(token)
    assert any(unb64(token.partition(".")[0])[26:] in pair for pair in compared)
