"""Reads the client of a token request, and with it whom its grant has to know: one statement for both."""

from __future__ import annotations

from dataclasses import dataclass

from authx.core.client_assertion import unverified_claim
from authx.core.exchange_request import MAX_TARGETS
from authx.core.oauth_client import CLIENT_CREDENTIALS, TOKEN_EXCHANGE, is_client_id
from authx.issuer.client_lookup import find_client
from authx.models import ServiceClient
from authx.oauth.form import Form
from authx.sessions.clients_together import Together, read_together


@dataclass(slots=True)
class Reading:
    """What is read for one request."""

    form: Form
    #: None where the grant has to know nobody, or nothing has been read yet.
    found: Together | None = None

    def find(self, client_id: str) -> ServiceClient | None:
        """Find the client as ``find_client`` does, whether it is one or not in the same time.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        targets = {*self.form.all("audience"), *self.form.all("resource")}
        grant_type = self.form.get("grant_type")
        if grant_type not in (CLIENT_CREDENTIALS, TOKEN_EXCHANGE) or len(targets) > MAX_TARGETS:
            return find_client(client_id)
        if not is_client_id(client_id):
            return None
        self.found = read_together(client_id, targets, self._client_of_subject())
        return self.found.by_id(client_id)

    def _client_of_subject(self) -> str:
        """Return whose the subject token says to be; whether that is true, the exchange asks."""
        named = unverified_claim(self.form.get("subject_token") or "", "client_id") or ""
        return named if is_client_id(named) else ""
