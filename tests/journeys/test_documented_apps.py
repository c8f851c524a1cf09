"""The apps of docs/sockets.md, as they stand there, in a server of their own."""

from __future__ import annotations

import os

import pytest

from authx.sessions import end_session
from tests.documented import documented
from tests.served import ROOT, closed, database_here, serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PAGE = "sockets.md"
#: What a site adds to the block about Starlette: its routes.
ROUTES = """
from django.core.asgi import get_asgi_application
django_app = get_asgi_application()
from authx.sockets import authenticated
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
{block}
application = make_application(Starlette(routes=[WebSocketRoute("/ws/chat/", chat)]), django_app)
"""


def bare():
    app, beside_django = "async def echo", "websockets = authenticated(echo)  #"
    return "\n\n".join(documented(PAGE, "python", text) for text in (app, beside_django))


def channels():
    return documented(PAGE, "python", "ProtocolTypeRouter")


def starlette():
    return ROUTES.format(block=documented(PAGE, "python", "make_application"))


@pytest.fixture
def serve(tmp_path, transactional_db):
    """Start a server with an app of the documentation."""

    def serve(text):
        (tmp_path / "documented_site.py").write_text(text)
        environment = {**database_here(), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
        return serving("uvicorn", tmp_path, app="documented_site:application", **environment)

    return serve


@pytest.mark.parametrize(
    ("app", "greets", "answers"),
    [
        (bare, False, "ada: hello"),
        (channels, True, "ada: hello"),
        (starlette, True, "hello"),
    ],
    ids=["bare", "channels", "starlette"],
)
def test_an_app_of_the_documentation_is_behind_the_door_and_beside_django(
    serve, opened, app, greets, answers
):
    with serve(app()) as served:
        assert served.session(opened.access_token)[0] == 200
        status, body = served.refuses("ws/chat")
        assert (status, body["code"]) == (401, "not_authenticated")
        with served.connect("ws/chat", bearer=opened.access_token) as socket:
            if greets:
                assert socket.recv(timeout=10).startswith("Hello ada")
            socket.send("hello")
            assert socket.recv(timeout=10) == answers
            end_session(opened.session, "kicked")
            assert closed(socket) == (4401, "kicked")
        assert "Traceback" not in served.log.read_text()
