"""What runs beside the demo with ``--with-service``: two services, and an app of somebody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

HOST = "127.0.0.1"
#: Module and name in the admin, in the order of their ports.
MEMBERS = {"orders": "orders (demo)", "stock": "stock (demo)", "reader": "Reader"}


class Fleet:
    """The addresses and credentials of those beside a site that serves on ``port``."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://{HOST}:{port}"
        self.ports = {name: port + number for number, name in enumerate(MEMBERS, start=1)}
        self.urls = {name: f"http://{HOST}:{number}" for name, number in self.ports.items()}

    @property
    def shared_api(self) -> str:
        """Return the resource that the app's tokens are for."""
        return f"{self.origin}/api/shared/"

    def environment(self) -> dict[str, str]:
        """Register the three as clients, with secrets made for this run, and return what they are to know."""
        found = {"DEMO_ISSUER": self.origin, "STOCK_URL": self.urls["stock"]}
        stock = register("stock", audience="stock")
        orders = register("orders", audience=self.origin, may_call=["stock"], scope="stock:read")
        reader = register(
            "reader",
            redirect_uris=[f"{self.urls['reader']}/callback"],
            scope="profile:read",
            resources=[self.shared_api],
        )
        for name, (client_id, secret) in {"stock": stock, "orders": orders, "reader": reader}.items():
            found |= {f"{name.upper()}_ID": client_id, f"{name.upper()}_SECRET": secret}
        return found

    @contextmanager
    def running(self, environment: dict[str, str]) -> Iterator[None]:
        """Run the three, each in a process of its own, as long as ours runs."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would leave them behind
        with ExitStack() as stack:
            for name, port in self.ports.items():
                command = [sys.executable, "-m", f"demo_project.{name}", str(port)]
                process = subprocess.Popen(
                    command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
                )
                stack.callback(process.wait)
                stack.callback(process.terminate)
            yield


def register(name: str, **fields: Any) -> tuple[str, str]:
    """Return the id of the client with that name, as it is to be, and a new secret."""
    from authx.issuer import create_client, renew_secret, update_client
    from authx.models import ServiceClient

    found = ServiceClient.objects.filter(name=MEMBERS[name]).first()
    if found is None:
        client, secret = create_client(MEMBERS[name], **fields)
        return client.client_id, secret or ""
    return found.client_id, renew_secret(update_client(found, **fields))
