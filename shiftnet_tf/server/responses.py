"""The answers to requests, refusals among them, and their description for OpenAPI."""

from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse

CLIENT_GONE = 499  # status in log and metrics of a request whose client disconnected, as in nginx


class RequestError(Exception):
    """An error for the client, with its status and message."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None):
        super().__init__(text)
        self.status, self.headers = status, headers

    def __reduce__(self) -> tuple[type["RequestError"], tuple[int, str, dict[str, str] | None]]:
        """Make it picklable, to pass it between processes."""
        return type(self), (self.status, str(self), self.headers)


def refusal(request: Request, error: RequestError) -> JSONResponse:
    """Return the answer to a refused request; its message is logged too."""
    request.state.reason = str(error)
    return JSONResponse({"error": str(error)}, error.status, error.headers)


class Answer(BaseModel):
    """The answer to a request in JSON."""

    image: Annotated[str, Field(description="the file in base64")]
    media_type: str
    plan: Annotated[str, Field(description="what the model looked at")]
    share: Annotated[float, Field(description="share of the photo's pixels that were filled, 0 to 1")]


class Refusal(BaseModel):
    """The answer to a refused request."""

    error: str


_PICTURE = {"schema": {"type": "string", "format": "binary"}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "model": Refusal}
    for status, text in (
        (401, "The server requires a token, which is missing or wrong"),
        (403, "Unknown host name, or a web page from an origin that is not allowed"),
        (408, "The body did not arrive in time"),
        (413, "More bytes or pixels than the server accepts"),
        (415, "Neither a form nor JSON"),
        (422, "Invalid photo, mask or setting; `error` says why"),
        (429, "The server is handling as many requests as it can"),
        (503, "No answer in time"),
    )
}


def answers(text: str, kinds: tuple[str, ...]) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a path for FastAPI's `responses`; a form is answered with the file itself."""
    header = {
        "X-Shiftnet-Plan": {"schema": {"type": "string"}, "description": "what the model looked at"},
        "X-Shiftnet-Share": {
            "schema": {"type": "number"},
            "description": "share of the photo's pixels that were filled",
        },
    }
    found = {"description": text, "model": Answer, "content": dict.fromkeys(kinds, _PICTURE), "headers": header}
    return {200: found, **REFUSALS}
