import os
from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")

# Before whitenoise, whose responses are synchronous streams: Django warns of those under ASGI.
django_app = ASGIStaticFilesHandler(get_asgi_application())

from authx.sockets import authenticated, live_notice  # noqa: E402
from demo_project.sockets import count  # noqa: E402

pages = live_notice(django_app)
websockets = authenticated(count)


async def application(scope: Any, receive: Any, send: Any) -> None:
    await (websockets if scope["type"] == "websocket" else pages)(scope, receive, send)
