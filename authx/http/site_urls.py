"""Our URLs as others have to use them: at the issuer, never at the Host header, which the client chooses."""

from urllib.parse import urljoin

from authx.conf import conf


def at_issuer(path: str) -> str:
    """Return the URL of a path of this site; an issuer that is no URL leaves the path as it is."""
    return urljoin(conf.ISSUER, path) if "://" in conf.ISSUER else path
