"""How a client of the API asks with a session's access token, and what it is told."""

from rest_framework.test import APIClient


def client_of(credentials):
    """A client that sends the session's access token."""
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {credentials.access_token}")
    return client


def assert_ended(credentials, reason):
    response = client_of(credentials).get("/api/whoami/")
    assert response.status_code == 401
    assert (response.json()["code"], response.json()["reason"]) == ("session_ended", reason)


def assert_live(credentials):
    assert client_of(credentials).get("/api/whoami/").status_code == 200
