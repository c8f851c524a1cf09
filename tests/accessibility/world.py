"""Who is on the site that is looked at: ada, who has few devices, somebody who has many, and staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.utils import timezone

from authx.core.risk import Alarm
from authx.issuer.clients import create_client, disable_client
from authx.issuer.signing_keys import rotate
from authx.models import DeviceSession, ServiceClient, SessionEvent, SigningKey
from authx.sessions import Device, end_session, open_session
from authx.sessions.subjects import subject_of
from tests.apps import connect, consent
from tests.conftest import PASSWORD

#: Names of a hundred letters without a space, of which no line can be made.
LONG = ("Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft" * 2)[:100]
LONG_ARABIC = "جهازالعملالذييحملاسماطويلاجدابلااي" * 2
ADDRESS = "2001:db8:85a3:8d3:1319:8a2e:370:7348"
AGENTS = {
    "laptop": (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/140.0.0.0 Safari/537.36"
    ),
    "phone": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.5 Mobile/15E148 Safari/604.1"
    ),
    "tablet": (
        "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.5 Mobile/15E148 Safari/604.1"
    ),
}
#: What the site has settled: it is an authorization server, and slow to forget.
API = "https://api.example/"
SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "tests.accessibility.urls",
    "AUTHX_ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "AUTHX_REFRESH_RATE": None,
    "AUTHX_SCOPES": {"orders:read": "See your orders", "orders:write": "Change your orders"},
    "AUTHX_RESOURCES": {API: ["orders:read", "orders:write"]},
    "AUTHX_SESSION_LIMITS": [],
}
#: The app is opened by a scheme of its own, to which no browser here can go.
CALLBACK = "com.example.reader:/callback"


@dataclass(frozen=True)
class World:
    """What visits need to know of it."""

    ada: Any
    #: Whose name is long, and who has forty devices.
    many: Any
    boss: Any
    #: Staff who may look, and no more.
    viewer: Any
    #: Who signs in elsewhere.
    passwordless: Any
    #: A session of ``many`` with an alarm and a history.
    alarmed: DeviceSession
    #: Apps and services.
    app: ServiceClient
    secretive: ServiceClient
    disabled: ServiceClient
    key: SigningKey


def person(name: str, **fields: Any) -> Any:
    model: Any = get_user_model()
    return model.objects.create_user(
        username=name, email=f"{name[:40]}@example.com", password=PASSWORD, **fields
    )


def sign_in(user: Any, *, on: str = "laptop", ip: str = "198.51.100.7", **device: Any) -> DeviceSession:
    request = RequestFactory().post("/", REMOTE_ADDR=ip, headers={"User-Agent": AGENTS[on]})
    return open_session(user, request, Device(**device)).session


def change(session: DeviceSession, **columns: Any) -> None:
    DeviceSession.objects.filter(pk=session.pk).update(**columns)


def settle() -> World:
    """Fill the database."""
    now = timezone.now()
    ada, many = person("ada"), person(LONG)
    boss = person("boss", is_staff=True, is_superuser=True)
    viewer = person("viewer", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(codename__startswith="view_", content_type__app_label="authx")
    )
    passwordless = person("grace")
    passwordless.set_unusable_password()
    passwordless.save()
    phone, tablet = sign_in(ada, on="phone"), sign_in(ada, on="tablet", ip=ADDRESS, name="Kitchen")
    change(phone, last_seen_at=now - timedelta(days=3, minutes=1), country="DE")
    change(tablet, last_seen_at=now - timedelta(hours=2, minutes=1))
    sessions = [
        sign_in(many, on=[*AGENTS][number % 3], ip=f"{ADDRESS[:-4]}{number:04x}", name=_name(number))
        for number in range(40)
    ]
    for number, session in enumerate(sessions):
        seen = now - timedelta(days=number, minutes=2)
        change(session, last_seen_at=seen, country=["", "DE", "BR", "SA"][number % 4])
    alarmed = sessions[0]
    change(alarmed, alarm_at=now)
    happened = SessionEvent.Kind
    for kind, outcome in (
        (happened.FLAGGED, Alarm.SPLIT_CONTEXT),
        (happened.REFUSED, ""),
        (happened.COPIED, ""),
    ):
        SessionEvent.objects.create(
            session=alarmed,
            kind=kind,
            at=now,
            ip=ADDRESS,
            user_agent=AGENTS["phone"],
            note=LONG,
            outcome=outcome,
        )
    SessionEvent.objects.create(
        subject=subject_of(many),
        kind=SessionEvent.Kind.LOGIN_FAILED,
        at=now,
        ip=ADDRESS,
        user_agent=AGENTS["tablet"],
    )
    for reason, session in zip(("kicked", "reused", "logout"), sessions[-3:], strict=True):
        end_session(session, reason)
    app, _ = create_client(
        f"Reader of {LONG}"[:100],
        auth_method="none",
        redirect_uris=[CALLBACK],
        scope=["orders:read", "orders:write"],
        resources=[API],
    )
    secretive, _ = create_client("Orders", audience="https://orders.example/", scope=["orders:read"])
    disabled, _ = create_client("Old stock", audience="https://stock.example/", scope=["orders:read"])
    disable_client(disabled, boss)
    for user, login in ((ada, phone), (many, alarmed)):
        consent(app, user, scope="orders:read orders:write")
        connect(app, login, audience=(API,))
    rotate()
    rotate(at_once=True)
    key = SigningKey.objects.order_by("-number")[0]
    return World(ada, many, boss, viewer, passwordless, alarmed, app, secretive, disabled, key)


def _name(number: int) -> str:
    return [LONG, "", LONG_ARABIC, "Ada's laptop", ADDRESS][number % 5]
