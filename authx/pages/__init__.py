"""The door of server-rendered pages: middleware, login, devices. No DRF."""
