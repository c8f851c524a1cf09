"""What the checks say of the site as it is."""

from rest_framework_simplejwt.settings import api_settings

from authx.contrib.moving.checks import check_moving


def test_a_site_without_rotation_hears_of_the_clients_it_may_have(monkeypatch):
    assert [message.id for message in check_moving()] == ["authx.W055"]
    monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True)
    assert check_moving() == []
