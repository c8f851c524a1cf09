"""What README.md recommends for AUTHX_BIND_DJANGO_LOGIN beside django-hijack and django-loginas."""

from pathlib import Path
from textwrap import dedent

_README = (Path(__file__).parents[2] / "README.md").read_text()
_, _, _found = _README.partition("  VIEWS = {")
exec(dedent("  VIEWS = {" + _found.partition("  ```")[0]))
