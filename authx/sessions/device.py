"""What a client says about the device that it logs in from."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from authx.conf import conf
from authx.core.device import MAX_ID_LENGTH, clean_text
from authx.errors import DeviceInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a client says about its device; every part may be omitted.

    ``id`` is chosen and kept by the client, at most 128 characters; ``name`` is shown to the user, cut at 100
    characters; ``type`` is one of AUTHX_DEVICE_TYPES.

    Raises:
        DeviceInvalid: a part is no string, the id is malformed, or the type is unknown. Its text is in the
            language of whoever reads it: who answers a client may know of another one by then.
    """

    id: str = ""
    name: str = ""
    type: str = ""

    def __post_init__(self) -> None:
        for part in fields(self):
            if not isinstance(getattr(self, part.name), str):
                raise DeviceInvalid(format_lazy(_("{part} must be a string"), part=f"device {part.name}"))
        if len(self.id) > MAX_ID_LENGTH or clean_text(self.id, MAX_ID_LENGTH) != self.id:
            raise DeviceInvalid(_("device id must be at most 128 printable characters"))
        if self.type and self.type not in conf.DEVICE_TYPES:
            known = ", ".join(conf.DEVICE_TYPES)
            raise DeviceInvalid(format_lazy(_("device type must be one of: {types}"), types=known))
