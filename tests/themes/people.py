"""Sessions and clients of all kinds, as a site has them: long names, other scripts, every state."""

import json

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse

from authx.core.actor import NOBODY
from authx.core.reasons import EndReason
from authx.issuer import create_client
from authx.issuer.signing_keys import rotate
from authx.models import DeviceSession, ServiceClient, SigningKey
from authx.sessions import Device, end_session, open_session
from authx.sessions.lookup import find_by_sid
from authx.sessions.risk import raise_refresh_rate

PASSWORD = "correct-horse-battery-staple"
AGENTS = {
    "laptop": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "phone": (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.5 Mobile/15E148 Safari/604.1"
    ),
    "terminal": "curl/8.5.0",
}
#: Whose, called what, from where, on what, and how it ended.
SESSIONS = [
    ("ada", "Ada's phone", "203.0.113.7", "phone", None),
    ("ada", "", "2001:db8:85a3::8a2e:370:7334", "laptop", None),
    (
        "claire.delacroix-montgomery",
        "Donaudampfschifffahrtsgesellschaftskapitänsmützen",
        "198.51.100.24",
        "laptop",
        None,
    ),
    (
        "maximiliane-konstantine.von-und-zu-hohenlohe-langenburg",
        "",
        "2001:db8:85a3:8d3:1319:8a2e:370:7348",
        "phone",
        None,
    ),
    ("farid", "هاتفي", "203.0.113.80", "phone", None),
    ("mira", "Tablet", "203.0.113.17", "laptop", None),
    ("bob", "backup script", "192.0.2.44", "terminal", EndReason.REUSED),
    ("eve", "", "198.51.100.99", "laptop", EndReason.KICKED),
    ("grace", "", "203.0.113.91", "phone", EndReason.LOGOUT),
    ("heidi", "", "198.51.100.31", "laptop", EndReason.PASSWORD_CHANGED),
]


def fill_site() -> None:
    """Make a superuser ``admin``, users with sessions, clients and keys."""
    users = get_user_model()._default_manager
    users.create_superuser("admin", "admin@example.org", PASSWORD)
    for name, device, ip, agent, reason in SESSIONS:
        user = users.filter(username=name).first() or users.create_user(name, f"{name}@example.org", PASSWORD)
        request = RequestFactory().post("/", REMOTE_ADDR=ip, headers={"User-Agent": AGENTS[agent]})
        session = open_session(user, request, Device(name=device)).session
        if reason is not None:
            end_session(session, reason)
    raise_refresh_rate(find_by_sid(live_session().pk), NOBODY)
    create_client("Reader", redirect_uris=["https://app.example/done"], resources=["https://api.example/"])
    create_client("Orders", audience="https://orders.example/", may_manage_sessions=True)
    rotate(alg="ES256", at_once=False, by=None)


def live_session() -> DeviceSession:
    """The one with an alarm."""
    return DeviceSession.objects.get(device_name="Ada's phone")


def examples() -> dict[str, object]:
    """The key of a row of each model that has pages, by the model's name."""
    return {
        "devicesession": live_session().pk,
        "serviceclient": ServiceClient.objects.get(name="Reader").pk,
        "signingkey": SigningKey.objects.order_by("number").last().pk,
    }


def pages() -> dict[str, str]:
    """The path of each page of ours that a superuser finds in the admin, by the name of its URL."""
    client = Client(headers={"Host": "localhost"})
    assert client.login(username="admin", password=PASSWORD)
    found = {}
    for model, model_admin in admin.site._registry.items():
        key = examples().get(model._meta.model_name)
        for url in model_admin.get_urls() if model._meta.app_label == "authx" else ():
            if url.name is None:
                continue
            path = reverse(f"admin:{url.name}", args=[key] * len(url.pattern.converters))
            answer = client.get(path)
            assert answer.status_code < 500, path
            if answer.status_code == 200 and b"authx/admin.css" in answer.getvalue():
                found[url.name] = path
    return found


def make_site() -> None:
    """Make the tables of a new database and what is in them, and print the pages."""
    call_command("migrate", verbosity=0)
    fill_site()
    print(json.dumps(pages()))
