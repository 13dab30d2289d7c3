"""The HTTP application: `POST /v1/inpaint`, `POST /v1/shift-map`, `/healthz`, `/metrics`, `/docs`; on request the page.

A request's photo and masks are read and filled by a process of `server.pool`, the way of the command line, so that the
bytes are the same; the windows of all requests meet in one queue here, which runs them in groups.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import swagger_ui_bundle
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from shiftnet_tf import __version__
from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.metrics import Metrics
from shiftnet_tf.server.pool import Pool
from shiftnet_tf.server.protocol import BODY, RequestError, answers, read_body
from shiftnet_tf.server.worker import Job, Reply

STATIC = Path(__file__).parent / "static"
_ANSWERS = answers("The filled photo, to a form as the file itself", ("image/jpeg", "image/png", "image/webp"))
_MAP_ANSWERS = answers("A picture of where each part of the hole was filled from", ("image/png",))
_POLICY = "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"


def create_app(inpainter: Inpainter, limits: Limits | None = None, page: bool = False) -> FastAPI:
    """Return the application; when it shuts down it ends its threads.

    Args:
        inpainter: what fills photos.
        limits: see `Limits`; None for the defaults.
        page: whether `/` is the page in which people brush.
    """
    limits = limits or Limits()
    metrics = Metrics()
    service = _Service(inpainter, limits, metrics)
    app = FastAPI(
        title="shiftnet",
        version=__version__,
        description="Takes things out of photos: Shift-Net image inpainting.",
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
    )
    app.openapi_version = "3.0.3"  # the newest that the bundled Swagger UI shows
    app.state.service = service
    bundle = Path(swagger_ui_bundle.swagger_ui_path)
    app.mount("/docs/static", StaticFiles(directory=bundle))
    app.mount("/static", StaticFiles(directory=STATIC))

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    @app.post("/v1/inpaint", responses=_ANSWERS, openapi_extra=BODY, summary="Fill the holes of a photo")
    async def inpaint(request: Request) -> Response:
        return await service.answer(request, shift_map=False)

    @app.post("/v1/shift-map", responses=_MAP_ANSWERS, openapi_extra=BODY, summary="Where each part was filled from")
    async def shift_map(request: Request) -> Response:
        return await service.answer(request, shift_map=True)

    @app.get("/healthz", response_model=None, summary="Whether the server works, and on what")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, **service.description}

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="shiftnet",
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url="/static/icon.svg",
        )

    @app.get("/", response_model=None, include_in_schema=False)
    async def root() -> FileResponse | dict[str, str]:
        if page:
            return FileResponse(STATIC / "page.html", headers={"Content-Security-Policy": _POLICY})
        return {"inpaint": "/v1/inpaint", "documentation": "/docs", "health": "/healthz", "metrics": "/metrics"}

    return app


class _Service:
    """Takes requests, as many at a time as the limits say, and has them answered by processes."""

    def __init__(self, inpainter: Inpainter, limits: Limits, metrics: Metrics) -> None:
        self.limits, self.metrics = limits, metrics
        self.description = {
            "model": inpainter.model.path.name,
            "runtime": inpainter.runtime,
            "provider": inpainter.provider,
            "limits": {
                "bytes": limits.bytes,
                "pixels": limits.pixels,
                "seconds": limits.seconds,
                "in_flight": limits.in_flight,
            },
        }
        self._inpainter = inpainter.grouped(watch=metrics.group.observe)
        self._pool = Pool(self._inpainter, limits)
        self._in_flight = 0

    def stop(self) -> None:
        """Give up all requests, for the end that does not wait."""
        self._pool.kill()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Finish what has been taken, when the application shuts down, and end the processes."""
        await asyncio.to_thread(self._pool.warm_up)
        yield
        await asyncio.to_thread(self._pool.close)
        self._inpainter.close()

    async def answer(self, request: Request, shift_map: bool) -> Response:
        """Answer a request with the filled photo, or with its shift map, and count it."""
        started = time.perf_counter()
        path = request.url.path
        try:
            reply = await self._answer(request, shift_map)
        except RequestError as error:
            self.metrics.requests.labels(path, str(error.status)).inc()
            raise
        except ShiftNetError as error:  # the runtime failed, through no fault of the client
            self.metrics.requests.labels(path, "500").inc()
            raise RequestError(500, str(error)) from error
        self.metrics.requests.labels(path, "200").inc()
        self.metrics.seconds.labels(path).observe(time.perf_counter() - started)
        return Response(reply.content, media_type=reply.media_type, headers=reply.headers)

    async def _answer(self, request: Request, shift_map: bool) -> Reply:
        if self._in_flight >= self.limits.in_flight:
            text = f"{self._in_flight} requests are being answered, which is as many as this server takes"
            raise RequestError(429, text, {"Retry-After": "1", "Connection": "close"})
        self._count(1)
        task = None
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await read_body(request, self.limits.bytes)
                task = self._pool.submit(Job(request.headers.get("content-type", ""), body, shift_map))
                del body
                return await asyncio.wrap_future(task.future)
        except TimeoutError as error:
            text = f"not answered within {self.limits.seconds:g} seconds"
            raise RequestError(503, text, {"Retry-After": "5", "Connection": "close"}) from error
        except MemoryError as error:
            raise RequestError(503, "there is not enough memory", {"Retry-After": "5"}) from error
        finally:
            if task:
                task.give_up()
            if task is None or task.future.done():
                self._count(-1)
            else:  # it counts until the model, which may be at work for it, and its process are through
                loop = asyncio.get_running_loop()
                task.future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1))

    def _count(self, change: int) -> None:
        self._in_flight += change
        self.metrics.in_flight.set(self._in_flight)
