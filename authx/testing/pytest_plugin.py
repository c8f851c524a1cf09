"""Fixtures of ``authx.testing``; a site's top ``conftest.py`` names this module in ``pytest_plugins``.

pytest may import it before Django has been set up: all that needs settings is imported in the fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from authx.sessions import Credentials
    from authx.testing import Clock
    from authx.testing.rotation import RotationSite


@pytest.fixture
def login_device(db: None) -> Callable[..., Credentials]:
    """Sign a user in at a test client: ``login_device(client, user)``; see ``authx.testing``."""
    from authx.testing import login_device

    return login_device


@pytest.fixture
def token_for(db: None) -> Callable[..., str]:
    """Make an access token of a new session: ``token_for(user)``; see ``authx.testing``."""
    from authx.testing import token_for

    return token_for


@pytest.fixture
def authx_clock() -> Iterator[Clock]:
    """Let a test move time: ``authx_clock.advance(minutes=20)``; it is put back afterwards."""
    from authx.testing import clock

    with clock() as moving:
        yield moving


@pytest.fixture
def rotation_site(transactional_db: None) -> Iterator[RotationSite]:
    """Serve the site on a bad network, with a clock; see ``authx.testing.rotation``."""
    from authx.testing.rotation import rotation_site

    with rotation_site() as site:
        yield site
