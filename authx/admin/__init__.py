"""The admin: shows sessions and ends them, never edits them; manages services and signing keys."""

from authx.admin.device_sessions import DeviceSessionAdmin
from authx.admin.service_clients import ServiceClientAdmin
from authx.admin.signing_keys import SigningKeyAdmin

__all__ = ["DeviceSessionAdmin", "ServiceClientAdmin", "SigningKeyAdmin"]
