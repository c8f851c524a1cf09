"""What journeys through real servers share."""

from __future__ import annotations

import pytest

from authx.sessions import open_session
from tests import served as servers
from tests.journeys import demo


@pytest.fixture(params=sorted(servers.SERVERS))
def served(request, tmp_path, transactional_db):
    """The site in a process of each server, on this test's database."""
    with servers.serving(request.param, tmp_path, **servers.database_here()) as found:
        yield found


@pytest.fixture
def opened(ada):
    """A session of ada's, just opened."""
    return open_session(ada)


@pytest.fixture
def site(tmp_path):
    """The demo."""
    with demo.serving(tmp_path) as found:
        yield found


@pytest.fixture(params=["wsgi", pytest.param("asgi", marks=demo.slow)])
def either_site(request, tmp_path):
    """The demo as WSGI, and once more as ASGI."""
    with demo.serving(tmp_path, *(["--asgi"] if request.param == "asgi" else [])) as found:
        yield found


@pytest.fixture
def open_profile(chromium):
    """Open a browser profile on a site; closed when the test is over."""
    opened = []

    def open_one(site, **options):
        opened.append(demo.Profile(chromium, site, **options))
        return opened[-1]

    yield open_one
    for profile in opened:
        profile.close()
