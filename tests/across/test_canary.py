"""Secrets stay where they belong (L1): in no log, no error report, no page, no row and no repr.

Somebody lives through a whole day at every door while all that is said and stored is kept; then every
secret that was used is looked for in it: whole, in its parts, and in the spellings bytes come in.
"""

import base64
import logging
import re
import sys
import traceback
from datetime import timedelta
from html import unescape

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter
from rest_framework.test import APIClient

from authx import errors
from authx.conf import secret_keys
from authx.core.derivation import derive_secret
from authx.core.keys import Key
from authx.core.refresh_token import read_refresh_token
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.http.request_state import request_state
from authx.identity.identity import Delivery, Identity
from authx.identity.visit import Visit
from authx.logins.presented import presented_by
from authx.models import DeviceSession
from authx.sessions import open_session, refresh_session

pytestmark = [pytest.mark.exhaustive, pytest.mark.django_db(transaction=True)]

PASSWORD = "canary-Zw5-tweet-tweet-9Qk"
NEW_PASSWORD = "canary-Rt8-chirp-chirp-3Vd"
MISTYPED = "canary-Yp2-cheep-cheep-7Nf"
AUTH = "/api/auth/"
LIST = "/admin/authx/devicesession/"
ACCESS, REFRESH, DEVICE = "__Host-authx_access", "__Host-authx_refresh", "__Host-authx_device"
#: What secrets are derived for, all of them from SECRET_KEY.
PURPOSES = ("refresh-token", "refresh-proof", "cookie", "device", "adoption", "login-proof")
HTML = {"Accept": "*/*"}
JSON = {"Accept": "application/json"}


class Secrets:
    """All that must not be found, by a name for it, in every spelling that it might be found in."""

    def __init__(self):
        self.spellings = {}
        self.add("the SECRET_KEY", django_settings.SECRET_KEY)
        for purpose in PURPOSES:
            self.add_bytes(f"the secret for {purpose}", derive_secret(django_settings.SECRET_KEY, purpose))
        number = keyring.keyset().signing._private.private_numbers().private_value
        self.add("the signing key as a number", str(number))
        self.add_bytes("the signing key", number.to_bytes(32))
        for password in (PASSWORD, NEW_PASSWORD, MISTYPED):
            self.add("a password", password)

    def add(self, name, text):
        assert len(text) > 15, f"{name} is too short to be looked for"
        self.spellings.setdefault(name, set()).add(text)

    def add_bytes(self, name, raw):
        plain, url_safe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
        for text in (
            raw.hex(),
            plain.rstrip("="),
            url_safe.rstrip("="),
            repr(raw)[2:-1],
            raw.decode("latin-1"),
        ):
            self.add(name, text)

    def add_token(self, name, token):
        """The token, and the parts that only it has: its signature, and a refresh token's proof."""
        self.add(name, token)
        *_, body, signature = token.split(".") if "." in token else ("", token, token)
        self.add(f"{name}: its signature", signature)
        if token.count(".") == 1:
            self.add(f"{name}: its payload", body)

    def found_in(self, text):
        text = unescape(text)
        return {name for name, spellings in self.spellings.items() if any(each in text for each in spellings)}


class Everything(logging.Handler):
    """Keeps every record of every logger, formatted and in all its parts."""

    def __init__(self):
        super().__init__(logging.NOTSET)
        self.lines = []

    def emit(self, record):
        parts = [repr(part) for name, part in vars(record).items() if name not in {"exc_info", "exc_text"}]
        reported = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self.lines += [record.getMessage(), *parts, reported]


@pytest.fixture
def logged(monkeypatch):
    """Everything that any logger says from now on, the database's statements included."""
    handler, root = Everything(), logging.getLogger()
    known = [
        logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)
    ]
    for logger in [root, *known]:
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "propagate", True)
        logger.manager._clear_cache()
    root.addHandler(handler)
    connection.force_debug_cursor = True
    yield handler.lines
    connection.force_debug_cursor = False
    root.removeHandler(handler)
    root.manager._clear_cache()


@pytest.fixture
def reports():
    """What Django would mail to the ADMINS of every error from now on, as text and as HTML."""
    kept = []

    def report(sender, request, **kwargs):
        reporter = ExceptionReporter(request, *sys.exc_info(), is_email=True)
        kept.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    got_request_exception.connect(report)
    yield kept
    got_request_exception.disconnect(report)


class Visitor:
    """Somebody at a client; each answer is kept, and every token that came with it is a secret."""

    def __init__(self, secrets, answers, client):
        self.secrets, self.answers, self.client = secrets, answers, client
        client.raise_request_exception = False

    def send(self, method, path, *args, **kwargs):
        answer = getattr(self.client, method)(path, *args, **kwargs)
        self.learn(answer)
        self.answers.append(answer)
        return answer

    def get(self, path, **kwargs):
        return self.send("get", path, **kwargs)

    def post(self, path, *args, **kwargs):
        return self.send("post", path, *args, **kwargs)

    def learn(self, answer):
        for name, cookie in answer.cookies.items():
            if name in {ACCESS, REFRESH, DEVICE} and cookie.value:
                self.secrets.add_token(f"a cookie {name}", cookie.value)
        if answer.get("Content-Type") == "application/json":
            body = answer.json()
            given = body if isinstance(body, dict) and answer.status_code in {200, 409} else {}
            for name in {"access_token", "refresh_token", "proof"} & set(given):
                self.secrets.add_token(f"an {name}", given[name])
        if "X-Access-Token" in answer:
            self.secrets.add_token("an exposed access token", answer["X-Access-Token"])


class Day:
    """A day of ada, who has a browser and a phone, and of the administrator."""

    def __init__(self, secrets, ada, admin):
        self.secrets, self.ada, self.admin = secrets, ada, admin
        #: Every answer, and those of them that the admin site gave.
        self.answers, self.admin_answers = [], []
        self.browser, self.phone = self.visitor(Client()), self.visitor(APIClient())
        self.desk = Visitor(secrets, self.admin_answers, Client())

    def visitor(self, client):
        return Visitor(self.secrets, self.answers, client)

    def live(self):
        self.sign_in()
        self.sign_in_with_the_phone()
        self.refresh()
        self.mistype()
        self.send_what_is_not_good()
        self.choose_a_device()
        self.change_the_password()
        self.kick()

    def sign_in(self, password=PASSWORD):
        sent = {"username": "ada", "password": password, "remember": "on"}
        assert self.browser.post("/account/login/", sent).status_code == 302
        for path in ("/whoami/", "/account/devices/", "/private/", "/account/login/", "/async-whoami/"):
            assert self.browser.get(path).status_code == 200

    def sign_in_with_the_phone(self, password=PASSWORD):
        device = {"id": "phone-1", "name": "Pocket"}
        body = {"username": "ada", "password": password, "device": device}
        self.tokens = self.phone.post(f"{AUTH}login/", body, format="json").json()
        self.use_the_phone()
        again = self.phone.post(
            f"{AUTH}reauthenticate/", {"password": password}, format="json", headers=self.bearer
        )
        assert again.status_code == 200, again.content
        self.tokens = again.json()

    @property
    def bearer(self):
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    def use_the_phone(self):
        for path in ("/api/whoami/", f"{AUTH}session/", f"{AUTH}sessions/", "/whoami/"):
            assert self.phone.get(path, headers=self.bearer).status_code == 200

    def refresh(self):
        for _ in range(2):
            let_the_grace_pass()
            body = {"refresh_token": self.tokens["refresh_token"]}
            self.tokens = self.phone.post(f"{AUTH}refresh/", body, format="json").json()
            self.use_the_phone()
            del self.browser.client.cookies[ACCESS]
            assert self.browser.get("/whoami/").json()["user"] == "ada"

    def mistype(self):
        stranger = self.visitor(APIClient())
        for password in (MISTYPED, PASSWORD + "x"):
            body = {"username": "ada", "password": password}
            assert stranger.post(f"{AUTH}login/", body, format="json").status_code == 401
            assert (
                stranger.post(f"{AUTH}login/", {**body, "transport": "pigeon"}, format="json").status_code
                == 400
            )
            wrong = stranger.post("/account/login/", body, format="multipart")
            assert wrong.status_code == 200

    def send_what_is_not_good(self):
        """Real tokens in the wrong place, cut short, altered, and after they were spent."""
        access, refresh = self.tokens["access_token"], self.tokens["refresh_token"]
        stranger = self.visitor(APIClient())
        for token in (refresh, access[:-1], f"{access}x", f"x{access}", f"{access}, {access}"):
            answer = stranger.get("/api/whoami/", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code in {400, 401}
        for token in (access, refresh[:-1], f"{refresh}x", refresh.swapcase(), [refresh], {"a": refresh}):
            answer = stranger.post(f"{AUTH}refresh/", {"refresh_token": token}, format="json")
            assert answer.status_code == 401
        stranger.post(f"{AUTH}refresh/", f'{{"refresh_token": "{refresh}"', content_type="application/json")
        swapped = self.visitor(Client())
        swapped.client.cookies.load({ACCESS: refresh, REFRESH: access, DEVICE: refresh})
        assert swapped.get("/whoami/").json()["user"] is None
        bad_csrf = self.visitor(APIClient(enforce_csrf_checks=True))
        bad_csrf.client.cookies.load({ACCESS: self.browser.client.cookies[ACCESS].value})
        assert bad_csrf.post(f"{AUTH}sessions/end-others/").status_code == 403

    def choose_a_device(self):
        """Sign in with a tablet in place of another; the proof comes back altered, misplaced, spent."""
        tablets = [{"id": f"tablet-{number}", "type": "ios"} for number in range(2)]
        stranger, answers = self.visitor(APIClient()), []
        for device in tablets:
            body = {"username": "ada", "password": PASSWORD, "device": device}
            answers.append(stranger.post(f"{AUTH}login/", body, format="json").json())
        proof, device = answers[1]["proof"], tablets[1]
        body = {"end": answers[0]["session_id"], "device": device}
        wrong = {"device": tablets[0]}
        for changed in ({"proof": proof[:-3]}, {"proof": [proof]}, {"proof": proof, "end": "x"}, wrong):
            sent = {"proof": proof, **body, **changed}
            assert stranger.post(f"{AUTH}login/", sent, format="json").status_code in {400, 401}
        assert stranger.post("/account/login/", {"proof": proof}, format="multipart").status_code == 401
        for status in (200, 401):
            sent = {"proof": proof, **body}
            assert stranger.post(f"{AUTH}login/", sent, format="json").status_code == status

    def change_the_password(self):
        sent = {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
        assert self.browser.post("/password-change/", sent).status_code == 302
        assert self.phone.get("/api/whoami/", headers=self.bearer).json()["reason"] == "password_changed"
        self.sign_in_with_the_phone(NEW_PASSWORD)

    def kick(self):
        sent = {"username": "admin", "password": PASSWORD, "next": LIST}
        assert self.desk.post("/admin/login/", sent).status_code == 302
        live = [
            str(key)
            for key in DeviceSession.objects.live().filter(user=self.ada).values_list("pk", flat=True)
        ]
        assert len(live) == 2
        chosen = {"action": "kick", "_selected_action": live}
        assert self.desk.post(LIST, chosen).status_code == 200
        assert self.desk.post(LIST, {**chosen, "post": "yes", "reason": "because"}).status_code == 302
        pages = ["/admin/", LIST, f"{LIST}?q=ada", f"/admin/auth/user/{self.ada.pk}/change/"]
        pages += [f"{LIST}{sid}/{page}/" for sid in live for page in ("change", "history")]
        for path in pages:
            assert self.desk.get(path).status_code == 200
        assert self.phone.get("/api/whoami/", headers=self.bearer).json()["reason"] == "kicked"
        body = {"refresh_token": self.tokens["refresh_token"]}
        assert self.phone.post(f"{AUTH}refresh/", body, format="json").status_code == 401
        self.browser.get("/account/devices/")
        assert self.browser.get("/account/login/").status_code == 200


def let_the_grace_pass():
    DeviceSession.objects.update(rotated_at=timezone.now() - timedelta(hours=1))


@pytest.fixture(params=[False, True], ids=["signed cookies", "encrypted cookies"])
def day(request, settings, make_user):
    settings.AUTHX_COOKIE_ENCRYPTION = request.param
    settings.AUTHX_LOGIN_RATE = None
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios"], "limit": 1, "when_full": "refuse", "choose": True}]
    ada = make_user("ada", password=PASSWORD)
    admin = make_user("admin", password=PASSWORD, is_staff=True, is_superuser=True)
    return Day(Secrets(), ada, admin)


# The canaries themselves


def test_what_is_looked_for_would_be_found(day):
    day.sign_in()
    day.sign_in_with_the_phone()
    login = next(answer for answer in day.answers if "access_token" in answer.content.decode())
    names = {"an access_token", "an access_token: its signature", "an refresh_token"}
    assert names <= day.secrets.found_in(login.content.decode())
    assert day.secrets.found_in(f"<li>{PASSWORD}&#x27;") == {"a password"}
    assert day.secrets.found_in(repr(derive_secret(django_settings.SECRET_KEY, "cookie"))) == {
        "the secret for cookie"
    }
    signature = day.tokens["refresh_token"].rpartition(".")[2]
    assert "an refresh_token: its signature" in day.secrets.found_in(f"x{signature}x")
    assert day.secrets.found_in("nothing of the kind") == set()


# Logs


def test_no_log_holds_a_secret(day, logged):
    day.live()
    text = "\n".join(logged)
    assert str(DeviceSession.objects.first().pk.hex) in text.replace("-", "")
    assert "UPDATE" in text
    assert "Unauthorized: /api/auth/login/" in text
    assert day.secrets.found_in(text) == set()


def test_nothing_is_printed(day, capfd):
    day.live()
    printed = capfd.readouterr()
    assert day.secrets.found_in(printed.out + printed.err) == set()


# Tracebacks


def fail_everywhere(day):
    """The site's own view fails, for everybody: signed in, renewed just now, with a Bearer token."""
    day.sign_in()
    day.sign_in_with_the_phone()
    pages = []
    for accepted in (HTML, JSON):
        let_the_grace_pass()
        for lost in (None, ACCESS):
            if lost:
                del day.browser.client.cookies[ACCESS]
            pages.append(day.browser.get("/boom/", headers=accepted))
        pages.append(day.phone.get("/boom/", headers={**day.bearer, **accepted}))
        pages.append(day.browser.post("/boom/", {"anything": "at all"}, headers=accepted))
    assert {page.status_code for page in pages} == {500}
    return [page.content.decode() for page in pages]


def test_no_traceback_page_of_a_site_in_debug_holds_a_secret(day, settings):
    settings.DEBUG = True
    pages = fail_everywhere(day)
    assert all("boom for" in page for page in pages)
    assert sum("<html" in page and ACCESS in page for page in pages) >= 2
    for page in pages:
        assert day.secrets.found_in(page) == set()


def test_no_error_mail_of_a_view_that_failed_holds_a_secret(day, reports):
    fail_everywhere(day)
    assert len(reports) == 16
    for report in reports:
        assert "boom for" in report
        assert day.secrets.found_in(report) == set()


def broken(session):
    """AUTHX_CLAIMS of a site that has a bug in it, right where authx makes its tokens."""
    raise RuntimeError("the claims are broken")


def break_down(execute, sql, params, many, context):
    """What a driver with a bug does when authx looks for the session of a token."""
    if sql.startswith("SELECT") and "authx_devicesession" in sql:
        raise RuntimeError("the driver is broken")
    return execute(sql, params, many, context)


def break_down_at_users(execute, sql, params, many, context):
    """The same when it looks for a user."""
    if sql.startswith("SELECT") and 'FROM "auth_user"' in sql:
        raise RuntimeError("the driver is broken")
    return execute(sql, params, many, context)


def fail_inside(day, settings):
    """Everything that authx does fails in the middle, with the secrets in its hands."""
    day.sign_in()
    day.sign_in_with_the_phone()
    day.answers.clear()
    settings.AUTHX_CLAIMS = f"{__name__}.broken"
    let_the_grace_pass()
    for accepted in (HTML, JSON):
        fail_to_sign_in(day, accepted)
        fail_to_choose(day, settings, accepted)
        fail_to_refresh(day, accepted)
        with connection.execute_wrapper(break_down):
            fail_to_refresh(day, accepted)
            fail_to_recognize(day, accepted)
    failed = [answer for answer in day.answers if answer.status_code == 500]
    # The login page alone does not fail: somebody else may want to sign in.
    assert {answer.wsgi_request.path for answer in day.answers if answer not in failed} == {"/account/login/"}
    return failed


def fail_to_sign_in(day, headers):
    stranger, body = day.visitor(APIClient()), {"username": "ada", "password": PASSWORD}
    stranger.post("/account/login/", body, format="multipart", headers=headers)
    stranger.post("/admin/login/", {**body, "username": "admin"}, format="multipart", headers=headers)
    stranger.post(f"{AUTH}login/", body, format="json", headers=headers)
    stranger.post(f"{AUTH}login/", {**body, "transport": "cookie"}, format="json", headers=headers)
    form = {"content_type": "application/x-www-form-urlencoded", "headers": headers}
    stranger.post(f"{AUTH}login/", f"username=ada&password={PASSWORD}", **form)
    bearer = {**day.bearer, **headers}
    day.phone.post(f"{AUTH}reauthenticate/", {"password": PASSWORD}, format="json", headers=bearer)


def fail_to_choose(day, settings, headers):
    """A limit is full, which comes before the failure; then the proof is taken, and the claims are made."""
    usual = settings.AUTHX_SESSION_LIMITS
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse", "choose": True}]
    stranger, body = day.visitor(APIClient()), {"username": "ada", "password": PASSWORD}
    given = stranger.client.post(f"{AUTH}login/", body, format="json").json()
    day.secrets.add_token("an API's proof", given["proof"])
    end = [session["id"] for session in given["sessions"]]
    body_of_proof = {"proof": given["proof"], "end": end}
    stranger.post(f"{AUTH}login/", body_of_proof, format="json", headers=headers)
    with connection.execute_wrapper(break_down_at_users):
        stranger.post(f"{AUTH}login/", body_of_proof, format="json", headers=headers)
    page = stranger.client.post("/account/login/", body, format="multipart").content.decode()
    proof = unescape(re.search('name="proof" value="([^"]+)"', page)[1])
    day.secrets.add_token("a page's proof", proof)
    end = re.findall('name="end" value="([^"]+)"', page)
    sent = {"proof": proof, "end": end}
    stranger.post("/account/login/", sent, format="multipart", headers=headers)
    with connection.execute_wrapper(break_down_at_users):
        stranger.post("/account/login/", sent, format="multipart", headers=headers)
    settings.AUTHX_SESSION_LIMITS = usual


def fail_to_refresh(day, headers):
    body = {"refresh_token": day.tokens["refresh_token"]}
    day.visitor(APIClient()).post(f"{AUTH}refresh/", body, format="json", headers=headers)
    lost = day.visitor(APIClient())
    lost.client.cookies.load({REFRESH: day.browser.client.cookies[REFRESH].value})
    for path in ("/whoami/", "/account/devices/", "/api/whoami/"):
        lost.get(path, headers=headers)
    lost.post(f"{AUTH}refresh/", headers=headers)


def fail_to_recognize(day, headers):
    for path in ("/api/whoami/", f"{AUTH}sessions/"):
        day.phone.get(path, headers={**day.bearer, **headers})
    day.phone.post(f"{AUTH}logout/", headers={**day.bearer, **headers})
    body = {"refresh_token": day.tokens["refresh_token"]}
    day.visitor(APIClient()).post(f"{AUTH}logout/", body, format="json", headers=headers)
    for path in ("/whoami/", "/account/devices/", "/api/whoami/", "/account/login/"):
        day.browser.get(path, headers=headers)
    day.browser.post(f"{AUTH}logout/", {}, content_type="application/json", headers=headers)
    day.browser.post("/account/logout/", headers=headers)
    day.browser.post("/account/login/", {"username": "ada", "password": PASSWORD}, headers=headers)


#: How often ``fail_inside`` fails.
FAILURES = 2 * (6 + 4 + 5 + 5 + 10)


def test_no_error_mail_of_a_failure_inside_authx_holds_a_secret(day, settings, reports):
    fail_inside(day, settings)
    assert len(reports) == 2 * FAILURES
    assert all("the claims are broken" in report or "the driver is broken" in report for report in reports)
    assert {name for report in reports for name in day.secrets.found_in(report)} == set()


def test_no_log_of_a_failure_inside_authx_holds_a_secret(day, settings, logged):
    fail_inside(day, settings)
    text = "\n".join(logged)
    assert "the claims are broken" in text
    assert "the driver is broken" in text
    assert day.secrets.found_in(text) == set()


def test_no_traceback_page_of_a_failure_inside_authx_holds_a_secret(day, settings):
    settings.DEBUG = True
    failed = fail_inside(day, settings)
    assert len(failed) == FAILURES
    shown = {}
    for answer in failed:
        text = answer.content.decode()
        assert "RuntimeError" in text
        if found := day.secrets.found_in(text):
            shown.setdefault(answer.request["PATH_INFO"], set()).update(found)
    assert shown == {}


# Pages


def test_no_admin_page_holds_a_secret(day):
    day.live()
    assert len(day.admin_answers) == 11
    for answer in day.admin_answers:
        assert day.secrets.found_in(answer.content.decode()) == set()
    assert any("because" in answer.content.decode() for answer in day.admin_answers)


def test_no_page_holds_a_secret_and_no_address_does(day):
    day.live()
    pages = [answer for answer in day.answers if answer.get("Content-Type", "").startswith("text/html")]
    assert len(pages) >= 8
    for page in pages:
        assert day.secrets.found_in(page.content.decode()) == set()
    places = [answer.url for answer in day.answers + day.admin_answers if hasattr(answer, "url")]
    assert places
    assert day.secrets.found_in("\n".join(places)) == set()


def test_only_the_two_that_give_tokens_answer_with_one(day):
    day.live()
    giving = {f"{AUTH}{name}/" for name in ("login", "refresh", "reauthenticate")}
    given = set()
    for answer in day.answers:
        if day.secrets.found_in(answer.content.decode()):
            given.add(
                answer.wsgi_request.path if hasattr(answer, "wsgi_request") else answer.request["PATH_INFO"]
            )
    assert given == giving


# Rows


def every_row():
    """All that the database holds, as text: bytes in every spelling, Django's sessions decoded."""
    texts = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            texts += [spelled(value) for row in cursor.fetchall() for value in row]
    texts += [repr(session.get_decoded()) for session in Session.objects.all()]
    return "\n".join(texts)


def spelled(value):
    if isinstance(value, memoryview | bytes | bytearray):
        raw = bytes(value)
        return f"{raw.hex()} {base64.b64encode(raw).decode()} {raw.decode('latin-1')}"
    return str(value)


def test_no_row_of_any_table_holds_a_secret(day):
    day.live()
    rows = every_row()
    for session in DeviceSession.objects.all():
        assert bytes(session.salt).hex() in rows
        assert session.fingerprint in rows
    assert "because" in rows
    assert day.secrets.found_in(rows) == set()


def test_no_row_of_any_table_holds_what_a_token_is_made_of(day):
    """The proof is looked for as the bytes that it is, too: rows may be binary."""
    day.sign_in()
    day.sign_in_with_the_phone()
    day.refresh()
    proof = read_refresh_token(day.tokens["refresh_token"], secret_keys()).proof
    day.secrets.add_bytes("the proof", proof)
    assert "the proof" in day.secrets.found_in(spelled(b"x" + proof))
    assert day.secrets.found_in(every_row()) == set()


def test_the_cache_holds_no_secret(day, settings):
    settings.AUTHX_LOGIN_RATE = "1000/min"
    day.live()
    kept = repr({**cache._cache})
    assert "authx:count:" in kept
    assert day.secrets.found_in(kept) == set()


# What a developer prints


def secretive(ada):
    """Everything that holds a secret, and what the secret is."""
    credentials = open_session(ada)
    request = RequestFactory().get("/", headers={"Authorization": f"Bearer {credentials.access_token}"})
    request.META["HTTP_COOKIE"] = (
        f"{ACCESS}={credentials.access_token}; {REFRESH}={credentials.refresh_token}"
    )
    visit = Visit(request, None)
    visit.identify(Identity(ada, delivery=Delivery(refresh_session(credentials.refresh_token))))
    refresh_claims = read_refresh_token(credentials.refresh_token, secret_keys())
    return credentials, [
        credentials,
        visit,
        visit.identity,
        presented_by(request),
        request_state(request),
        credentials.claims,
        verify_access_token(credentials.access_token),
        refresh_claims,
        Key.derive(django_settings.SECRET_KEY),
        keyring.keyset(),
        keyring.keyset().jwks(),
        credentials.session,
        request,
    ]


def test_no_repr_holds_a_secret(ada):
    credentials, things = secretive(ada)
    secrets = Secrets()
    secrets.add_token("the access token", credentials.access_token)
    secrets.add_token("the refresh token", credentials.refresh_token)
    secrets.add_bytes("the proof", things[7].proof)
    secrets.add_bytes("the salt", bytes(credentials.session.salt))
    assert credentials.claims.jti in repr(credentials)
    for thing in things:
        for text in (repr(thing), str(thing), f"{thing}", repr([thing])):
            assert secrets.found_in(text) == set(), type(thing)


def test_no_error_says_the_token_that_it_is_about(ada):
    credentials = open_session(ada)
    access, refresh = credentials.access_token, credentials.refresh_token
    secrets = Secrets()
    secrets.add_token("the access token", access)
    secrets.add_token("the refresh token", refresh)
    said = []
    for token in (access[:-2], f"{access}.x", refresh, refresh.swapcase(), f" {access}", access.encode()):
        with pytest.raises(errors.TokenError) as caught:
            verify_access_token(token)
        said += [str(caught.value), repr(caught.value), *map(repr, causes(caught.value))]
    for token in (refresh[:-2], f"{refresh}x", access, f" {refresh}", refresh.encode(), [refresh]):
        with pytest.raises(errors.RefreshError) as caught:
            refresh_session(token)
        said += [str(caught.value), repr(caught.value), *map(repr, causes(caught.value))]
    assert any(said)
    assert secrets.found_in("\n".join(said)) == set()


def causes(error):
    while error := error.__cause__ or error.__context__:
        yield error


def test_no_model_of_ours_has_a_column_for_a_token():
    names = {
        field.name for model in apps.get_app_config("authx").get_models() for field in model._meta.fields
    }
    assert "salt" in names
    hashed = {"secret_hash"}  # of 256 random bits: tests/api/test_api_services.py
    assert not {name for name in names - hashed if re.search("token|password|secret|proof", name)}
