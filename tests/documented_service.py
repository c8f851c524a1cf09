"""A service made of the code in the documentation, as its own process.

Standard input is JSON: ``settings`` and ``views`` are the code, ``port`` is where it listens, ``urls`` maps
paths to names in the views. A class is a view; a function is called, and its result is the answer.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def configure(code: str) -> None:
    import django
    from django.conf import settings

    found: dict[str, Any] = {}
    exec(compile(code, "settings.py", "exec"), found)
    settings.configure(
        DEBUG=True,  # http, not https, between them
        SECRET_KEY="nobody-knows-this-one-" + "v" * 40,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        DATABASES={},
        USE_TZ=True,
        **{name: value for name, value in found.items() if name.isupper()},
    )
    django.setup()


def urls(code: str, paths: dict[str, str]) -> list[Any]:
    from django.http import JsonResponse
    from django.urls import path

    found: dict[str, Any] = {"__name__": "views"}
    exec(compile(code, "views.py", "exec"), found)

    def view(named: Any) -> Any:
        return (
            named.as_view() if isinstance(named, type) else lambda request: JsonResponse(named(), safe=False)
        )

    return [path(where, view(found[name])) for where, name in paths.items()]


def main() -> None:
    asked = json.load(sys.stdin)
    configure(asked["settings"])
    from django.core.handlers.wsgi import WSGIHandler
    from django.core.management import call_command

    globals()["urlpatterns"] = urls(asked["views"], asked["urls"])
    call_command("check", fail_level="WARNING", stdout=sys.stderr)
    foreign = {"authx.models", "django.contrib.auth.models"} & set(sys.modules)
    assert not foreign, foreign
    server = make_server("127.0.0.1", asked["port"], WSGIHandler(), handler_class=Quiet)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
