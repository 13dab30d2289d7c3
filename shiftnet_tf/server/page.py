"""The files of the page and their headers."""

import mimetypes
from pathlib import Path
from typing import Any

from fastapi import Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

_FOLDER = Path(__file__).parent / "static"
_POLICY = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
_REVALIDATE = {"Cache-Control": "no-cache"}  # all files of the page are of one version, even after an upgrade
mimetypes.add_type("text/javascript", ".js")  # Windows may have another type, for which browsers refuse modules


class PageFiles(StaticFiles):
    """The files that the page loads."""

    def __init__(self) -> None:
        super().__init__(directory=_FOLDER)

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        """Return a file that the browser revalidates each time, and loads again if it has changed."""
        response = super().file_response(*arguments, **options)
        response.headers.update(_REVALIDATE)
        return response


def answer_page() -> FileResponse:
    """Return the page's HTML file."""
    return FileResponse(_FOLDER / "page.html", headers={"Content-Security-Policy": _POLICY, **_REVALIDATE})
