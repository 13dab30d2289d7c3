"""The HTTP application: `POST /v1/inpaint`, `POST /v1/shift-map`, `/healthz`, `/metrics`, `/docs`; on request the page.

A request's photo and masks are read and filled in a thread by `runtime.inpaint_photo`, the way of the command line, so
that the bytes are the same; the windows of all requests meet in one queue, which runs them in groups.
"""

import asyncio
import base64
import contextlib
import io
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import swagger_ui_bundle
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from PIL import Image

from shiftnet_tf import __version__
from shiftnet_tf.errors import InputError, ShiftNetError, TooLargeError
from shiftnet_tf.runtime import Inpainter, inpaint_photo
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.metrics import Metrics
from shiftnet_tf.server.protocol import BODY, RequestError, Wanted, answers, read_body, read_request

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
    """Takes requests, as many at a time as the limits say, and has them answered by threads."""

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
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="shiftnet")
        self._in_flight = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Have the threads give up what they are at, for the end that does not wait."""
        self._stopping.set()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Finish what has been taken, when the application shuts down, and end the threads."""
        yield
        await asyncio.to_thread(self._threads.shutdown)
        self._inpainter.close()

    async def answer(self, request: Request, shift_map: bool) -> Response:
        """Answer a request with the filled photo, or with its shift map, and count it."""
        started = time.perf_counter()
        path = request.url.path
        try:
            response = await self._answer(request, shift_map)
        except RequestError as error:
            self.metrics.requests.labels(path, str(error.status)).inc()
            raise
        except ShiftNetError as error:  # the runtime failed, through no fault of the client
            self.metrics.requests.labels(path, "500").inc()
            raise RequestError(500, str(error)) from error
        self.metrics.requests.labels(path, "200").inc()
        self.metrics.seconds.labels(path).observe(time.perf_counter() - started)
        return response

    async def _answer(self, request: Request, shift_map: bool) -> Response:
        if self._in_flight >= self.limits.in_flight:
            text = f"{self._in_flight} requests are being answered, which is as many as this server takes"
            raise RequestError(429, text, {"Retry-After": "1", "Connection": "close"})
        self._count(1)
        future, given_up = None, threading.Event()
        try:
            async with asyncio.timeout(self.limits.seconds):
                wanted = await read_request(request, await read_body(request, self.limits.bytes))
                future = self._threads.submit(self._filled, wanted, shift_map, given_up)
                content, file_format, said = await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError as error:
            text = f"not answered within {self.limits.seconds:g} seconds"
            raise RequestError(503, text, {"Retry-After": "5", "Connection": "close"}) from error
        except MemoryError as error:
            raise RequestError(503, "there is not enough memory", {"Retry-After": "5"}) from error
        except TooLargeError as error:
            raise RequestError(413, str(error)) from error
        except InputError as error:
            raise RequestError(422, str(error)) from error
        finally:
            given_up.set()
            if future is None or future.cancel() or future.done():
                self._count(-1)
            else:  # its thread is still at work, and counts until it is through
                loop = asyncio.get_running_loop()
                future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1))
        kind = Image.MIME.get(file_format, "application/octet-stream")
        if wanted.as_json:
            image = base64.b64encode(content).decode()
            return JSONResponse({"image": image, "media_type": kind, **said})
        headers = {f"X-Shiftnet-{name.title()}": str(value) for name, value in said.items()}
        return Response(content, media_type=kind, headers=headers)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self.metrics.in_flight.set(self._in_flight)

    def _filled(self, wanted: Wanted, shift_map: bool, given_up: threading.Event) -> tuple[bytes, str, dict[str, Any]]:
        """Fill, in a thread; return the file to send, its format and what the answer says of it."""

        def progress(_: float) -> None:
            if given_up.is_set() or self._stopping.is_set():
                raise RequestError(503, "given up")

        filled = inpaint_photo(
            self._inpainter,
            wanted.photo,
            wanted.masks,
            wanted.options,
            shift_map=shift_map,
            max_pixels=self.limits.pixels,
            file_format=None if shift_map else wanted.file_format,
            progress=progress,
        )
        said = {"plan": str(filled.plan), "share": round(filled.share, 6)}
        if not shift_map:
            return filled.encoded(wanted.file_format), wanted.file_format or filled.photo.own_format, said
        if filled.shift_map is None:
            raise InputError("the mask has no hole")
        buffer = io.BytesIO()
        Image.fromarray(filled.shift_map).save(buffer, "PNG")
        return buffer.getvalue(), "PNG", said
