"""What docs/production.md recommends for AUTHX_BIND_DJANGO_LOGIN beside django-hijack and django-loginas."""

from pathlib import Path
from textwrap import dedent

_PAGE = (Path(__file__).parents[2] / "docs/production.md").read_text()
_, _, _found = _PAGE.partition("  VIEWS = {")
exec(dedent("  VIEWS = {" + _found.partition("  ```")[0]))
