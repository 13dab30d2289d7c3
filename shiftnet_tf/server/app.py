"""The HTTP application: `/v1/inpaint`, `/v1/shift-map`, `/v2`, `/healthz`, `/metrics`, `/docs`; optionally the page.

A process of `server.pool` reads and fills the photo and masks of a request as the command line does, so that the bytes
are the same. The windows of all requests share one queue here, which runs them in groups.
"""

from pathlib import Path
from typing import Any

import swagger_ui_bundle
from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from shiftnet_tf import __version__
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.access import Access, AccessMiddleware, bearer
from shiftnet_tf.server.inference import MODEL_NAME, add_inference
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.messages import Job
from shiftnet_tf.server.metrics import Metrics
from shiftnet_tf.server.page import PageFiles, answer_page
from shiftnet_tf.server.protocol import BODY
from shiftnet_tf.server.requests import Surroundings
from shiftnet_tf.server.responses import REFUSALS, RequestError, answers, refusal
from shiftnet_tf.server.service import Service
from shiftnet_tf.server.tensors import HEADER

_ANSWERS = answers("The filled photo; a form gets the file itself", ("image/jpeg", "image/png", "image/webp"))
_MAP_ANSWERS = answers("An image that shows where each part of the hole was copied from", ("image/png",))
_HEALTH_ANSWERS: dict[int | str, dict[str, Any]] = {
    403: REFUSALS[403],
    503: REFUSALS[503] | {"description": "The model does not respond"},
}
_PATHS = {
    "inpaint": "/v1/inpaint",
    "inference": "/v2",
    "documentation": "/docs",
    "health": "/healthz",
    "metrics": "/metrics",
}


def create_app(
    inpainter: Inpainter,
    limits: Limits | None = None,
    page: bool = False,
    access: Access | None = None,
    root_path: str = "",
    model_name: str = MODEL_NAME,
) -> FastAPI:
    """Return the application, which ends its threads when it shuts down.

    Args:
        inpainter: the model.
        limits: see `Limits`; None for the defaults.
        page: whether to serve the page at `/`.
        access: who may use it; None: everybody.
        root_path: prefix that a proxy adds to all paths, such as `/inpainting`; accepted with and without it.
        model_name: the model's name in the Open Inference Protocol.
    """
    metrics = Metrics()
    service = Service(inpainter, limits or Limits(), metrics)
    app = FastAPI(
        title="shiftnet",
        version=__version__,
        description="Removes things from photos: Shift-Net image inpainting.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would contain scheme and host, which only a proxy knows
        servers=[{"url": root_path}] if root_path else None,
        lifespan=service.lifespan,
    )
    app.openapi_version = "3.0.3"  # the newest that the bundled Swagger UI supports
    app.state.service, app.state.model_name = service, model_name
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _no_such_path)
    guarded = [Depends(bearer(access.token))] if access and access.token is not None else []
    _add_service(app, service, metrics, guarded)
    add_inference(app, service, model_name, guarded)
    _add_pages(app, page, root_path)
    if access:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Shiftnet-Plan", "X-Shiftnet-Share", "X-Request-ID", HEADER],
        )
        app.add_middleware(AccessMiddleware, access=access)
    paths = {str(getattr(route, "path", "")) for route in app.routes}
    # The last middleware added is the outermost.
    app.add_middleware(Surroundings, metrics=metrics, paths=paths, root_path=root_path)
    return app


def _add_service(app: FastAPI, service: Service, metrics: Metrics, guarded: list[Any]) -> None:
    """Add the paths for programs; the metrics and the paths that use the model are guarded."""
    asking: dict[str, Any] = {"openapi_extra": BODY, "dependencies": guarded}

    @app.post("/v1/inpaint", responses=_ANSWERS, summary="Fill the holes in a photo", **asking)
    async def inpaint(request: Request) -> Response:
        return await service.answer(request, _photo_job)

    @app.post(
        "/v1/shift-map", responses=_MAP_ANSWERS, summary="Show where each part of the hole was copied from", **asking
    )
    async def shift_map(request: Request) -> Response:
        return await service.answer(request, _shift_map_job)

    @app.get(
        "/healthz", response_model=None, responses=_HEALTH_ANSWERS, summary="Check that the server works, and on what"
    )
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, **service.health()}

    @app.get("/metrics", include_in_schema=False, dependencies=guarded)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)


def _photo_job(request: Request, body: bytearray) -> Job:
    return Job(request.headers.get("content-type", ""), body, shift_map=False)


def _shift_map_job(request: Request, body: bytearray) -> Job:
    return Job(request.headers.get("content-type", ""), body, shift_map=True)


def _add_pages(app: FastAPI, page: bool, root_path: str) -> None:
    """Add the paths for browsers, which load files by relative paths, so that a proxy's prefix works too."""
    app.mount("/docs/static", StaticFiles(directory=Path(swagger_ui_bundle.swagger_ui_path)))
    app.mount("/static", PageFiles())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="shiftnet",
            swagger_js_url="docs/static/swagger-ui-bundle.js",
            swagger_css_url="docs/static/swagger-ui.css",
            swagger_favicon_url="static/icon.svg",
        )

    @app.get("/", response_model=None, include_in_schema=False)
    async def root() -> Response | dict[str, str]:
        if page:
            return answer_page()
        return {name: root_path + path for name, path in _PATHS.items()}

    if root_path:  # without its slash, relative paths would miss the prefix

        @app.get(root_path, include_in_schema=False)
        async def prefix() -> RedirectResponse:
            return RedirectResponse(f"{root_path}/")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return refusal(request, error)


def _not_found(request: Request) -> str:
    if request.url.path.startswith("/v2/models/"):
        return f"no such model, version or path: this server has /v2/models/{request.app.state.model_name}"
    return "no such path: see /docs"


async def _no_such_path(request: Request, error: Exception) -> Response:
    """Answer requests to unknown paths or with unsupported methods; answer OPTIONS with the allowed methods."""
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        text = _not_found(request) if error.status_code == 404 else error.detail
        return refusal(request, RequestError(error.status_code, text, dict(error.headers or {})))
    methods = set((error.headers or {}).get("Allow", "GET").split(", ")) | {"OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    headers = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    text = f"this path does not accept {request.method[:20]}; it accepts {headers['Allow']}"
    return refusal(request, RequestError(405, text, headers))
