"""What journeys through real servers share."""

from __future__ import annotations

import pytest

from authx.sessions import open_session
from tests.served import SERVERS, database_here, serving


@pytest.fixture(params=sorted(SERVERS))
def served(request, tmp_path, transactional_db):
    """The site in a process of each server, on this test's database."""
    with serving(request.param, tmp_path, **database_here()) as found:
        yield found


@pytest.fixture
def opened(ada):
    """A session of ada's, just opened."""
    return open_session(ada)
