"""The HTTP application: `POST /v1/inpaint`, `POST /v1/shift-map`, `/healthz`, `/metrics`, `/docs`; on request the page.

A request's photo and masks are read and filled by a process of `server.pool`, the way of the command line, so that the
bytes are the same; the windows of all requests meet in one queue here, which runs them in groups.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import swagger_ui_bundle
from fastapi import Depends, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from shiftnet_tf import __version__
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.access import Access, AccessMiddleware, bearer
from shiftnet_tf.server.bodies import Bodies
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.metrics import Metrics
from shiftnet_tf.server.page import PageFiles, answer_page
from shiftnet_tf.server.pool import Pool
from shiftnet_tf.server.protocol import BODY, CLIENT_GONE, RequestError, answers, drain, read_body, refusal
from shiftnet_tf.server.requests import Surroundings
from shiftnet_tf.server.worker import Job, Reply

_ANSWERS = answers("The filled photo, to a form as the file itself", ("image/jpeg", "image/png", "image/webp"))
_MAP_ANSWERS = answers("A picture of where each part of the hole was filled from", ("image/png",))


def create_app(
    inpainter: Inpainter,
    limits: Limits | None = None,
    page: bool = False,
    access: Access | None = None,
    root_path: str = "",
) -> FastAPI:
    """Return the application; when it shuts down it ends its threads.

    Args:
        inpainter: what fills photos.
        limits: see `Limits`; None for the defaults.
        page: whether `/` is the page in which people brush.
        access: who may use it; None for everybody.
        root_path: prefix that a proxy puts before all paths.
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
        root_path=root_path,
        lifespan=service.lifespan,
    )
    app.openapi_version = "3.0.3"  # the newest that the bundled Swagger UI shows
    app.state.service = service
    bundle = Path(swagger_ui_bundle.swagger_ui_path)
    app.mount("/docs/static", StaticFiles(directory=bundle))
    app.mount("/static", PageFiles())
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _no_such_path)
    guarded = [Depends(bearer(access.token))] if access and access.token is not None else []

    @app.post(
        "/v1/inpaint", responses=_ANSWERS, openapi_extra=BODY, dependencies=guarded, summary="Fill the holes of a photo"
    )
    async def inpaint(request: Request) -> Response:
        return await service.answer(request, shift_map=False)

    @app.post(
        "/v1/shift-map",
        responses=_MAP_ANSWERS,
        openapi_extra=BODY,
        dependencies=guarded,
        summary="Where each part was filled from",
    )
    async def shift_map(request: Request) -> Response:
        return await service.answer(request, shift_map=True)

    @app.get("/healthz", response_model=None, summary="Whether the server works, and on what")
    async def healthz() -> dict[str, Any]:
        return {"status": "ok", "version": __version__, **service.description}

    @app.get("/metrics", include_in_schema=False, dependencies=guarded)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)

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
        paths = {"inpaint": "/v1/inpaint", "documentation": "/docs", "health": "/healthz", "metrics": "/metrics"}
        return {name: root_path + path for name, path in paths.items()}

    if access:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Shiftnet-Plan", "X-Shiftnet-Share", "X-Request-ID"],
        )
        app.add_middleware(AccessMiddleware, access=access)
    paths = {str(getattr(route, "path", "")) for route in app.routes}
    app.add_middleware(Surroundings, metrics=metrics, paths=paths)  # the last one added is the outermost
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return refusal(request, error)


async def _no_such_path(request: Request, error: Exception) -> Response:
    """Answer a path or method that there is not; to OPTIONS with the methods that there are."""
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        text = "no such path: see /docs" if error.status_code == 404 else error.detail
        return refusal(request, RequestError(error.status_code, text, dict(error.headers or {})))
    methods = set((error.headers or {}).get("Allow", "GET").split(", ")) | {"OPTIONS"}
    if "GET" in methods:
        methods.add("HEAD")
    headers = {"Allow": ", ".join(sorted(methods))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    text = f"this path does not take {request.method[:20]}; it takes {headers['Allow']}"
    return refusal(request, RequestError(405, text, headers))


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
        self._bodies = Bodies(limits.body_bytes)
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
        """Answer a request with the filled photo, or with its shift map."""
        await self._refuse_when_full(request)
        is_whole = False
        try:
            async with asyncio.timeout(self.limits.seconds) as patience:
                with self._bodies.one(patience) as took:
                    body = await read_body(request, self.limits.bytes, took)
                    is_whole = True
                    self._bodies.keep(patience)
                    await self._refuse_when_full(request)
                    job = Job(request.headers.get("content-type", ""), body, shift_map)
                    del body
                    reply = await self._fill(request, job)
        except TimeoutError as error:
            if not is_whole:
                text = f"the body did not come within {self.limits.seconds:g} seconds, or others needed its memory"
                raise RequestError(408, text, {"Connection": "close"}) from error
            text = f"not answered within {self.limits.seconds:g} seconds"
            raise RequestError(503, text, {"Retry-After": "5", "Connection": "close"}) from error
        except MemoryError as error:
            raise RequestError(503, "there is not enough memory", {"Retry-After": "5"}) from error
        return Response(reply.content, media_type=reply.media_type, headers=reply.headers)

    async def _refuse_when_full(self, request: Request) -> None:
        if self._in_flight >= self.limits.in_flight:
            await drain(request)
            text = f"{self._in_flight} requests are being answered, which is as many as this server takes"
            raise RequestError(429, text, {"Retry-After": "1", "Connection": "close"})

    async def _fill(self, request: Request, job: Job) -> Reply:
        """Have a process answer; it is ended when the client goes away or the time is over."""
        self._count(1)
        task = answer = None
        gone = asyncio.ensure_future(_client_gone(request))
        try:
            task = self._pool.submit(job)
            answer = asyncio.wrap_future(task.future)
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise RequestError(CLIENT_GONE, "the client went away")
            return answer.result()
        finally:
            gone.cancel()
            if task:
                task.give_up()
            if answer:
                answer.cancel()  # if it is not done: nobody retrieves it
            if task is None or task.future.done():
                self._count(-1)
            else:  # it counts until the model, which may be at work for it, and its process are through
                loop = asyncio.get_running_loop()
                task.future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1))

    def _count(self, change: int) -> None:
        self._in_flight += change
        self.metrics.in_flight.set(self._in_flight)


async def _client_gone(request: Request) -> None:
    """Wait until the client of a request whose body was read goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
