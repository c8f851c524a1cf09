"""What the recorded site was set to, and what its clients send; the one that is upgraded is the same."""

from base64 import b64encode

SETTINGS = {
    "ROOT_URLCONF": "tests.oauth_urls",
    "AUTHX_ISSUER": "https://id.example",
    "AUTHX_SCOPES": {"orders:read": "See your orders"},
    "AUTHX_RESOURCES": {"https://api.example/": ["orders:read"]},
}
PASSWORD = "correct-horse-battery-staple"
CALLBACK = "https://app.example/callback"
VERIFIER = "v" * 43
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def basic(client_id: str, secret: str) -> str:
    return "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()


def redemption(code: str) -> dict[str, str]:
    grant = {"grant_type": "authorization_code", "code": code}
    return {**grant, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
