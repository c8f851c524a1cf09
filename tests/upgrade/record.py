"""Write down a site as a release leaves it: every row, and what its visitors and clients hold.

Run once for each release, by that release's own code, in a checkout of it:

    PYTHONPATH=. python .../tests/upgrade/record.py .../tests/upgrade/records/0.1.0.json

Only documented routes and commands are used, so that it runs in later releases as well.
"""

from __future__ import annotations

import json
import os
import re
import sys
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import django
from django.core.serializers.json import DjangoJSONEncoder
from recorded_site import CALLBACK, PASSWORD, SETTINGS, USER_AGENT, VERIFIER, basic, redemption


def main(path: str) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings.base"
    django.setup()
    from django.test.utils import override_settings, setup_databases, setup_test_environment

    setup_test_environment()
    setup_databases(verbosity=0, interactive=False)
    with override_settings(**SETTINGS):
        held = everybody()
        record = {"at": datetime.now(UTC), "migrations": migrations(), "held": held, "tables": tables()}
    with open(path, "w") as file:
        json.dump(record, file, cls=Encoder, indent=1, sort_keys=True)
        file.write("\n")


class Encoder(DjangoJSONEncoder):
    """Octets as hexadecimal digits, times with their microseconds."""

    def default(self, o: Any) -> Any:
        if isinstance(o, bytes | memoryview):
            return {"octets": bytes(o).hex()}
        return {"time": o.isoformat()} if isinstance(o, datetime) else super().default(o)


def migrations() -> dict[str, str]:
    """The last migration of each app."""
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    done = MigrationRecorder(connection).applied_migrations()
    return {app: max(name for of, name in done if of == app) for app, _ in done}


def tables() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, by ``app.model``."""
    from django.apps import apps

    skipped = {"contenttypes", "admin"}
    models = [model for model in apps.get_models() if model._meta.app_label not in skipped]
    found = {
        model._meta.label_lower: [*model._base_manager.order_by("pk").values()]
        for model in models
        if model._meta.label_lower not in {"auth.permission", "auth.group"}
    }
    return {name: rows for name, rows in found.items() if rows}


def everybody() -> dict[str, Any]:
    """Who is there, and what each holds, by name."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    users = get_user_model().objects
    for name in ("ada", "bob", "eve"):
        users.create_user(name, f"{name}@example.com", PASSWORD)
    users.create_superuser("admin", "admin@example.com", PASSWORD)
    held: dict[str, Any] = {"phone before a key of its own": app("ada", "ios")}
    call_command("authx_keys", "rotate", "--now", stdout=StringIO())
    held["marked"] = app("eve", "ios")
    call_command("authx_end", "--user", "eve", stdout=StringIO())
    held["phone"] = app("ada", "ios")
    held["phone that has not used its newest tokens"] = rotated(app("bob", "android"), use=False)
    held["phone whose last answer was lost"] = lost(rotated(app("bob", "ios"), use=True))
    held["browser"] = browser()
    held["browser, renewed"] = browser(renew=True)
    held["browser that signed in by the API"] = cookie_login()
    held["browser whose cookies have not come back"] = only_django()
    held["browser from before authx"] = before_authx()
    held["kicked"] = kicked(app("bob", "desktop"))
    held["stepped up"] = stepped_up(app("ada", "desktop"))
    held["app of somebody else's"] = connected()
    held["service"] = service()
    return held


def client() -> Any:
    from django.test import Client

    return Client(headers={"User-Agent": USER_AGENT})


def post(path: str, body: Any, status: int = 200, by: Any = None, **headers: str) -> Any:
    answer = (by or client()).post(path, body, content_type="application/json", headers=headers)
    assert answer.status_code == status, (path, answer.status_code, answer.content)
    return answer.json() if answer.content else None


def app(user: str, kind: str) -> dict[str, Any]:
    """An app that keeps its tokens itself."""
    device = {"type": kind, "id": f"{user}-{kind}-{os.urandom(4).hex()}", "name": f"{user}'s {kind}"}
    return post("/api/auth/login/", {"username": user, "password": PASSWORD, "device": device})


def use(tokens: dict[str, Any]) -> None:
    answer = client().get("/api/whoami/", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert answer.status_code == 200, answer.content


def age(sid: str, by: timedelta) -> None:
    """Let time pass for one session, by moving its past back."""
    from authx.models import DeviceSession

    row = DeviceSession.objects.get(pk=sid)
    DeviceSession.objects.filter(pk=sid).update(rotated_at=row.rotated_at - by)


def rotated(tokens: dict[str, Any], *, use: bool) -> dict[str, Any]:
    globals()["use"](tokens)
    age(tokens["session_id"], timedelta(minutes=5))
    found = post("/api/auth/refresh/", {"refresh_token": tokens["refresh_token"]})
    if use:
        globals()["use"](found)
    return {**found, "spent": tokens["refresh_token"]}


def lost(tokens: dict[str, Any]) -> dict[str, Any]:
    """The successor never arrived: the client holds what it has sent."""
    age(tokens["session_id"], timedelta(minutes=5))
    post("/api/auth/refresh/", {"refresh_token": tokens["refresh_token"]})
    return tokens


def jar(holder: Any) -> dict[str, str]:
    return {name: morsel.value for name, morsel in holder.cookies.items() if morsel.value}


def sign_in(holder: Any, user: str = "ada") -> Any:
    answer = holder.post("/account/login/", {"username": user, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return holder


def session_of(holder: Any) -> str:
    found = holder.get("/whoami/").json()["session"]
    assert found
    return str(found)


def browser(*, renew: bool = False) -> dict[str, Any]:
    holder = sign_in(client())
    sid = session_of(holder)
    if renew:
        age(sid, timedelta(minutes=5))
        del holder.cookies["__Host-authx_access"]
        assert session_of(holder) == sid
    return {"cookies": jar(holder), "session_id": sid, "user": "ada"}


def cookie_login() -> dict[str, Any]:
    holder = client()
    body = {"username": "bob", "password": PASSWORD, "transport": "cookie"}
    sid = post("/api/auth/login/", body, by=holder)["session_id"]
    return {"cookies": jar(holder), "session_id": sid, "user": "bob"}


def only_django() -> dict[str, Any]:
    from authx.models import DeviceSession

    holder = sign_in(client(), "bob")
    sid = str(DeviceSession.objects.filter(user__username="bob").latest("created_at").pk)
    return {"cookies": {"sessionid": jar(holder)["sessionid"]}, "session_id": sid, "user": "bob"}


def before_authx() -> dict[str, Any]:
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    ada, stored = get_user_model().objects.get(username="ada"), SessionStore()
    stored[SESSION_KEY] = str(ada.pk)
    stored[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    stored[HASH_SESSION_KEY] = ada.get_session_auth_hash()
    stored.create()
    return {"cookies": {"sessionid": stored.session_key}, "session_id": None, "user": "ada"}


def kicked(tokens: dict[str, Any]) -> dict[str, Any]:
    staff = post("/api/auth/login/", {"username": "admin", "password": PASSWORD})
    sid = tokens["session_id"]
    post(f"/api/auth/staff/sessions/{sid}/kick/", {}, Authorization=f"Bearer {staff['access_token']}")
    return tokens


def stepped_up(tokens: dict[str, Any]) -> dict[str, Any]:
    bearer = f"Bearer {tokens['access_token']}"
    found = post("/api/auth/reauthenticate/", {"password": PASSWORD}, Authorization=bearer)
    return {**found, "continues": tokens["session_id"], "spent_by_step_up": tokens["refresh_token"]}


def registered(*words: str) -> tuple[str, str]:
    from django.core.management import call_command

    out = StringIO()
    call_command("authx_services", "create", *words, stdout=out, stderr=StringIO())
    found = re.search(r'"([^"]+)", "([^"]+)"', out.getvalue()) or re.search(
        r"client_id +(\S+)\s+client_secret +(\S+)", out.getvalue()
    )
    assert found, out.getvalue()
    return found[1], found[2]


def form(path: str, **fields: Any) -> Any:
    credentials = fields.pop("credentials")
    answer = client().post(
        path,
        urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": basic(*credentials)},
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


def connected() -> dict[str, Any]:
    words = ["Reader", "--redirect-uri", CALLBACK, "--scope", "orders:read"]
    words += ["--resource", "https://api.example/", "--grant-type", "authorization_code"]
    words += ["--grant-type", "refresh_token"]
    credentials = registered(*words)
    holder = sign_in(client())
    redeemed = form("/oauth/token/", credentials=credentials, **redemption(code(holder, credentials[0])))
    # A code lives a minute: the site stood still for no longer.
    unspent = code(holder, credentials[0])
    return {"credentials": credentials, **redeemed, "code": unspent, "user": "ada"}


def code(holder: Any, client_id: str) -> str:
    from hashlib import sha256

    challenge = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "orders:read",
    }
    asked |= {"code_challenge": challenge, "code_challenge_method": "S256", "state": "s"}
    address = f"/oauth/authorize/?{urlencode({**asked, 'resource': 'https://api.example/'})}"
    answer = holder.post(address, {"decision": "allow"})
    assert answer.status_code in (200, 302), answer.content
    uri = answer.get("Location") or unescape(
        re.findall(r"content=\"0; url=([^\"]*)", answer.content.decode())[0]
    )
    return parse_qs(urlsplit(uri).query)["code"][0]


def service() -> dict[str, Any]:
    """A service that calls another, and asks about users' tokens."""
    called = "https://stock.example/"
    registered("Stock", "--audience", called, "--scope", "orders:read")
    credentials = registered("Orders", "--audience", "https://orders.example/", "--may-call", called)
    asked = {"grant_type": "client_credentials", "resource": called}
    found = form("/oauth/token/", credentials=credentials, **asked)
    return {"credentials": credentials, "calls": called, **found}


if __name__ == "__main__":
    main(sys.argv[1])
