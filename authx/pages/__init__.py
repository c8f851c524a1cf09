"""Server-rendered pages: middleware, login, list of devices. Needs no DRF."""
