"""A passkey in software: what a browser's authenticator answers (WebAuthn §6, §7)."""

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

ORIGIN, HOST = "https://testserver", "testserver"
PRESENT, VERIFIED = AuthenticatorData.FLAG.UP, AuthenticatorData.FLAG.UV


def text(octets):
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


class Passkey:
    """One key pair for one site."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(16)

    def _data(self, flags, credential=b""):
        return AuthenticatorData.create(hashlib.sha256(HOST.encode()).digest(), flags, 1, credential)

    def _client(self, kind, challenge):
        return CollectedClientData.create(kind, challenge, ORIGIN)

    def registration(self):
        """What allauth keeps of a registration."""
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(b"\0" * 16, self.id, public)
        data = self._data(PRESENT | AuthenticatorData.FLAG.AT, credential)
        client = self._client("webauthn.create", b"x" * 32)
        response = {
            "clientDataJSON": text(client),
            "attestationObject": text(AttestationObject.create("none", data, {})),
        }
        return self._credential(response) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def answer(self, challenge, user_handle="", flags=PRESENT | VERIFIED):
        """Sign a challenge; as JSON."""
        client, data = self._client("webauthn.get", challenge), self._data(flags)
        signature = self.key.sign(data + client.hash, ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": text(client),
            "authenticatorData": text(data),
            "signature": text(signature),
            "userHandle": text(user_handle.encode()),
        }
        return json.dumps(self._credential(response))

    def _credential(self, response):
        return {
            "type": "public-key",
            "id": text(self.id),
            "rawId": text(self.id),
            "response": response,
            "clientExtensionResults": {},
        }
