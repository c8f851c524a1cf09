"""Every text that people read stands in a catalog: on pages, in the admin, and from the API."""

import re
from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import timezone

from authx.core.reasons import EndReason
from authx.core.risk import Alarm
from authx.errors import SessionLimitReached
from authx.http.refusals import DETAILS, body_of
from authx.issuer import create_client
from authx.issuer.signing_keys import rotate
from authx.models import DeviceSession, SessionEvent
from authx.models import EndReason as EndText
from authx.pages.texts import ended_text
from authx.sessions import Device, end_session, open_session
from tests.apps import connect
from tests.texts.marks import speak_in_marks, unmarked, unmarked_of

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
API = "https://api.example/"
CALLBACK = "https://app.example/done"
#: In no language: ours and other names, addresses, units, and what the settings call things.
NAMES = (
    "authx",
    "UTC",
    API,
    CALLBACK,
    "api.example",
    "app.example",
    "https://api.shop.example/",
    "api.shop.example",
)
#: What Django itself has in no catalog.
DJANGOS = ("Search", "True", "False")
KINDS = [kind.value for kind in SessionEvent.Kind]


@pytest.fixture(autouse=True)
def _in_marks(settings, monkeypatch):
    settings.ROOT_URLCONF = "tests.oauth_urls"
    settings.AUTHX_ISSUER = "https://id.example"
    settings.AUTHX_SCOPES = {"orders:read": "…"}
    settings.AUTHX_RESOURCES = {API: ["orders:read"]}
    speak_in_marks(settings, monkeypatch)


@pytest.fixture
def person(make_user):
    return make_user("Ада", email="")


@pytest.fixture
def browser(person, password):
    found = Client(headers={"User-Agent": FIREFOX})
    assert found.post("/account/login/", {"username": "Ада", "password": password}).status_code == 302
    return found


@pytest.fixture
def boss(make_user, password):
    make_user("Босс", email="", is_staff=True, is_superuser=True)
    found = Client(headers={"User-Agent": FIREFOX})
    assert found.post("/account/login/", {"username": "Босс", "password": password}).status_code == 302
    return found


@pytest.fixture
def app():
    return create_client("Читатель", redirect_uris=[CALLBACK], resources=[API], scope="orders:read")[0]


@pytest.fixture
def busy(person, app, browser):
    """A user to whom everything has happened, and the newest of their sessions."""
    for reason in EndReason:
        session = open_session(person, device=Device(id=reason, name="Телефон", type="ios")).session
        end_session(session, reason, note="…")
    DeviceSession.objects.filter(end_reason=EndReason.REPLACED).update(replaced_by="android")
    session = open_session(person, device=Device(id="77", type="other")).session
    at = timezone.now()
    for kind in KINDS:
        SessionEvent.objects.create(
            session=session, subject=session.subject, kind=kind, at=at, user_agent=FIREFOX
        )
    for alarm in Alarm:
        SessionEvent.objects.create(
            session=session, subject=session.subject, kind="flagged", outcome=alarm, at=at
        )
    DeviceSession.objects.filter(pk=session.pk).update(alarm_at=at, amr=["pwd", "otp"], ip="203.0.113.9")
    login = DeviceSession.objects.get(user=person, device_type="web", ended_at=None)
    connect(app, login)
    return session


def shown(client, path, status=200, **options):
    method = client.post if "data" in options else client.get
    response = method(path, **options)
    assert response.status_code == status, (path, response.status_code, response.get("Location"))
    return response.content.decode()


def assert_translatable(page, *names):
    assert unmarked(page, but=(*NAMES, *names)) == []


def test_the_marks_find_what_is_not_translated():
    """Else nothing below says anything."""
    page = (
        "<p title='Bare'>⟦Kept by ⟦nobody⟧⟧ and <code>x = secret</code> left</p><input type=submit value=Go>"
    )
    assert unmarked(page) == ["Bare", "and", "left", "Go"]
    assert unmarked_of("⟦All of ⟦it⟧⟧ 7") == []


def test_the_sign_in_page(browser, person, password):
    stranger = Client()
    assert_translatable(shown(stranger, "/account/login/"))
    assert_translatable(shown(stranger, "/account/login/", data={"username": "Ада", "password": "-"}))
    assert_translatable(shown(stranger, "/account/login/", data={}))


@pytest.mark.parametrize("reason", list(EndReason))
def test_the_sign_in_page_after_an_ending(browser, person, reason):
    end_session(DeviceSession.objects.get(user=person), reason)
    DeviceSession.objects.update(replaced_by="ios" if reason == EndReason.REPLACED else "")
    page = shown(browser, "/account/login/")
    assert f'data-reason="{reason}"' in page
    assert_translatable(page)
    assert unmarked_of(ended_text(reason, answers_lost=True)) == []


def test_the_page_that_asks_which_device_to_sign_out(settings, person, password):
    settings.AUTHX_SESSION_LIMITS = [{"limit": 1, "when_full": "refuse", "choose": True}]
    open_session(person, device=Device(id="a", name="Телефон", type="ios"))
    page = shown(
        Client(headers={"User-Agent": FIREFOX}),
        "/account/login/",
        409,
        data={"username": "Ада", "password": password},
    )
    assert "⟦Cancel⟧" in page
    assert_translatable(page)


def test_the_pages_of_an_account(browser, busy):
    for path in ("devices/", "activity/", "confirm/"):
        assert_translatable(shown(browser, f"/account/{path}"))
    assert_translatable(shown(browser, "/account/confirm/", data={"password": "-"}))


def test_what_is_said_after_a_form_on_the_devices_page(browser, busy, app):
    pk = DeviceSession.objects.filter(device_id="77").get().pk
    forms = [
        (f"devices/{pk}/rename/", {"name": "Планшет"}),
        (f"devices/{pk}/end/", {}),
        (f"devices/{pk}/end/", {}),
        ("devices/end-others/", {}),
        (f"devices/apps/{app.client_id}/disconnect/", {}),
    ]
    for path, form in forms:
        response = browser.post(f"/account/{path}", form, follow=True)
        if response.status_code == 200:
            assert_translatable(response.content.decode())


def test_pages_in_the_place_of_others(person):
    request = RequestFactory().get("/")
    for template in ("logged_out", "refused", "unavailable"):
        page = render_to_string(f"authx/{template}.html", {"message": "", "retry_after": 5}, request)
        assert_translatable(page)
    assert_translatable(render_to_string("authx/unavailable.html", {}))


def test_the_pages_of_an_authorization_server(browser, app):
    asked = {
        "response_type": "code",
        "client_id": app.client_id,
        "redirect_uri": CALLBACK,
        "scope": "orders:read",
    }
    asked |= {"code_challenge": "c" * 43, "code_challenge_method": "S256"}
    page = browser.get("/oauth/authorize/", asked)
    assert page.status_code == 200, page.content
    assert_translatable(page.content.decode())
    context = {"client": "…", "place": "…", "uri": CALLBACK, "error": "", "description": ""}
    for template in ("cannot_consent", "leading_on", "refused"):
        assert_translatable(render_to_string(f"authx/oauth/{template}.html", context))


def test_the_lists_of_the_admin(boss, busy, app):
    key = rotate()
    for path in (
        "devicesession/",
        "serviceclient/",
        "signingkey/",
        "devicesession/?q=…",
        "devicesession/?status=alarm",
    ):
        assert_translatable(
            shown(boss, f"/admin/authx/{path}"), "ES256", app.client_id, key.kid, key.kid[:8], *DJANGOS
        )


def test_the_page_of_a_session(boss, busy):
    for session in DeviceSession.objects.all():
        page = shown(boss, f"/admin/authx/devicesession/{session.pk}/change/")
        facts = (str(session.pk), session.device_id, session.user_agent, session.scope, session.client_id)
        assert_translatable(page, *filter(None, facts), FIREFOX, *Alarm, *EndReason, *DJANGOS)


def test_the_pages_before_a_kick(boss, busy):
    chosen = [str(pk) for pk in DeviceSession.objects.live().values_list("pk", flat=True)]
    for action in ("kick", "kick_everywhere"):
        form = {"action": action, "_selected_action": chosen, "index": "0"}
        assert_translatable(shown(boss, "/admin/authx/devicesession/", data=form))
    done = boss.post("/admin/authx/devicesession/", form | {"post": "yes"}, follow=True)
    assert_translatable(done.content.decode(), *DJANGOS)


@pytest.mark.parametrize(
    "limit",
    [
        {"types": ["ios", "android"], "limit": 1},
        {"limit": 2, "when_full": "end_oldest"},
        {"types": ["web"], "limit": 1, "when_full": "refuse"},
        {"limit": 2, "when_full": "refuse", "choose": True},
    ],
    ids=["group", "all", "refuse", "choose"],
)
def test_the_page_of_the_limits(boss, busy, settings, limit):
    settings.AUTHX_SESSION_LIMITS = [limit]
    assert_translatable(shown(boss, "/admin/authx/devicesession/limits/"))


def test_the_pages_of_a_client(boss, app):
    base = "/admin/authx/serviceclient/"
    assert_translatable(shown(boss, f"{base}add/"), "orders:read")
    assert_translatable(shown(boss, f"{base}{app.pk}/change/"), "orders:read", app.client_id)
    for verb in ("renew", "disable", "enable"):
        assert_translatable(shown(boss, f"{base}{app.pk}/{verb}/"))
    assert_translatable(shown(boss, f"{base}{app.pk}/renew/", data={}))


WRONG = {
    "redirect_uris": "http://app.example/\nhttps://*.example/\nx:y\nhttps://a@b.example/\nhttps://b.example/#c\n/\n"
    "https://c.example/?code=1\nhttp://localhost/\nexample.app:\n",
    "resources": "relative\n" + "\n".join(f"{API}{'x' * 200}{n}" for n in range(20)),
    "scope": 'a"b',
    "auth_method": "private_key_jwt",
    "jwks": '{"keys": [{"kty": "EC"}, {"kid": "a", "kty": "EC"}, {"kid": "a", "kty": "oct", "k": "AA"}]}',
    "audience": "https://id.example",
    "origins": "app.example\nhttp://app.example",
    "jwks_uri": "http://keys.example/",
    "idle_lifetime": "400 00:00:00",
    "session_lifetime": "1 00:00:00",
}


@pytest.mark.parametrize("field", WRONG)
def test_what_is_wrong_with_a_client(boss, app, field):
    """Said in core, where no language is known, and translated where it is shown."""
    form = {"name": "…", "auth_method": "client_secret", "redirect_uris": CALLBACK, "resources": API} | WRONG
    page = shown(boss, "/admin/authx/serviceclient/add/", data=form)
    errors = re.findall(r'<ul class="errorlist".*?</ul>', page, re.DOTALL)
    assert errors
    values = re.findall(r"&#x27;.*?&#x27;", "".join(errors))
    assert_translatable("".join(errors), *(value.replace("&#x27;", "'") for value in values), *GRANTS)


GRANTS = ("private_key_jwt", "authorization_code", "client_credentials", "refresh_token", "code")


def test_the_pages_of_the_signing_keys(boss):
    assert_translatable(shown(boss, "/admin/authx/signingkey/rotate/"), "ES256", "RS256", "PS256", "EdDSA")
    first = rotate(at_once=True)
    for data in ({"alg": "ES256"}, {"alg": "ES256"}):  # the second is refused: a key is waiting
        answer = boss.post("/admin/authx/signingkey/rotate/", data, follow=True)
        names = [name for key in type(first).objects.all() for name in (key.kid, key.kid[:8])]
        assert_translatable(answer.content.decode(), *names, "ES256", "UTC")
    for page in ("change", "withdraw"):
        text = shown(boss, f"/admin/authx/signingkey/{first.pk}/{page}/")
        assert_translatable(text, first.kid, first.public_key, "ES256", *first.public_key.split())


@pytest.mark.parametrize("code", [*DETAILS, "a_word_of_the_site"])
def test_what_the_api_says_of_each_error(code):
    assert unmarked_of(body_of(code)["detail"]) == []
    assert unmarked_of(body_of(code, "reused", answers_lost=True)["detail"]) == []


def test_what_the_api_says_of_a_replaced_session():
    assert body_of("session_ended", "replaced", "ios")["detail"].count("⟦") == 2
    assert unmarked_of(body_of("session_ended", "replaced", "ios")["detail"]) == []


REFUSED = {
    "no body": ({}, None),
    "wrong password": ({"username": "Ада", "password": "-"}, "detail"),
    "wrong device": ({"username": "Ада", "password": "*", "device": {"type": "tv"}}, "device"),
    "wrong transport": ({"username": "Ада", "password": "*", "transport": "pigeon"}, "transport"),
    "a proof and a name": ({"username": "Ада", "proof": "x", "end": []}, None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_api_says_of_a_login(api, person, password, case):
    body, key = REFUSED[case]
    answer = api.post("/api/auth/login/", {n: password if v == "*" else v for n, v in body.items()})
    assert answer.status_code in {400, 401}
    said = answer.json()
    assert key is None or key in said
    texts = " ".join(map(str, [value for name, value in said.items() if name not in {"code", "reason"}]))
    assert unmarked_of(texts, but=("web", "ios", "android", "desktop", "other")) == []


def test_every_reason_has_its_words_for_visitors_and_for_staff():
    from authx.admin.words import ENDED

    assert set(ENDED) == set(EndReason) == set(EndText.values)
    for reason in EndReason:
        assert unmarked_of(str(ENDED[reason])) == unmarked_of(str(EndText(reason).label)) == []


def test_a_limit_that_is_full_says_so(person, settings):
    from authx.pages.texts import refusal_text, too_many

    for error in (SessionLimitReached("full"), person):
        assert unmarked_of(refusal_text(error)) == []
    for wait in (-1, 30):
        assert unmarked_of(" ".join(too_many(wait).messages)) == []


def test_times_are_no_part_of_a_sentence(busy, browser):
    """``timesince`` is declined in no language: "3 Tage" are "vor 3 Tagen"."""
    DeviceSession.objects.update(last_seen_at=timezone.now() - timedelta(days=3))
    assert "⟦Active" in shown(browser, "/account/devices/")
