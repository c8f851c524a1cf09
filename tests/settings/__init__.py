"""One settings module per variant of a site; `base` is the plain one."""
