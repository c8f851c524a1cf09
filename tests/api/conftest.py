"""What tests of the API share."""

import pytest

from authx.sessions import Device, open_session


@pytest.fixture
def phone(ada):
    """A session of Ada's on her phone."""
    return open_session(ada, device=Device(id="p-1", name="Ada's phone", type="ios"))


@pytest.fixture
def bobs(bob):
    """A session of Bob's."""
    return open_session(bob)
