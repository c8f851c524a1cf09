"""The door of staff: looks and ends, never edits."""

from authx.admin.device_sessions import DeviceSessionAdmin

__all__ = ["DeviceSessionAdmin"]
