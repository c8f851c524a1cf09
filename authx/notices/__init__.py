"""Notices: what users are told about their account, by mail or whatever the site connects to ``notice``."""

from authx.core.notice_kinds import NoticeKind
from authx.notices.mail import send_mail
from authx.notices.notice import HeldBack, Notice

__all__ = ["HeldBack", "Notice", "NoticeKind", "send_mail"]
