"""Accept requests within the limits, and have them answered by worker processes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request, Response

from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.bodies import Bodies, drain, read_body
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.messages import Job, Reply, TensorJob
from shiftnet_tf.server.metrics import Metrics
from shiftnet_tf.server.pool import Pool
from shiftnet_tf.server.responses import CLIENT_GONE, RequestError


class Service:
    """Answers the requests of an application.

    Args:
        inpainter: the model.
        limits: those of the server.
        metrics: counts the requests.

    Attributes:
        image_size: S in pixels, of the model.
        outputs: names of the model's outputs.
    """

    def __init__(self, inpainter: Inpainter, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._description = {
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
        self.image_size, self.outputs = inpainter.model.image_size, inpainter.backend.outputs
        self._inpainter = inpainter.grouped(watch=metrics.group.observe)
        self._pool = Pool(self._inpainter, limits)
        self._bodies = Bodies(limits.body_bytes)
        self._in_flight = 0

    def health(self) -> dict[str, Any]:
        """Return the server's model, runtime and limits.

        Raises:
            RequestError: 503: the model does not respond.
        """
        if (seconds := self._pool.model_seconds) > self._limits.seconds:
            raise RequestError(503, f"the model has not answered for {seconds:.0f} seconds: restart the server")
        return self._description

    def stop(self) -> None:
        """Cancel all requests, for an immediate shutdown."""
        self._pool.kill()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Start a process; on shutdown finish the accepted requests and end the processes."""
        await asyncio.to_thread(self._pool.warm_up)
        yield
        await asyncio.to_thread(self._pool.close)
        self._inpainter.close()

    async def answer(self, request: Request, make_job: Callable[[Request, bytearray], Job | TensorJob]) -> Response:
        """Answer a request.

        Args:
            request: whose body is read.
            make_job: called with the request and its body; returns the job for a process.

        Raises:
            RequestError: the request is refused, or not answered in time.
        """
        await self._refuse_when_full(request)
        is_whole = False
        try:
            async with asyncio.timeout(self._limits.seconds) as patience:
                with self._bodies.one(patience) as took:
                    body = await read_body(request, self._limits.bytes, took)
                    is_whole = True
                    self._bodies.keep(patience)
                    await self._refuse_when_full(request)
                    job = make_job(request, body)
                    del body
                    reply = await self._fill(request, job)
        except TimeoutError as error:
            if not is_whole:
                text = f"the body did not arrive within {self._limits.seconds:g} seconds, or others needed its memory"
                raise RequestError(408, text, {"Connection": "close"}) from error
            text = f"no answer within {self._limits.seconds:g} seconds"
            raise RequestError(503, text, {"Retry-After": "5", "Connection": "close"}) from error
        except MemoryError as error:
            raise RequestError(503, "not enough memory", {"Retry-After": "5"}) from error
        return Response(reply.content, media_type=reply.media_type, headers=reply.headers)

    async def _refuse_when_full(self, request: Request) -> None:
        if self._in_flight >= self._limits.in_flight:
            await drain(request)
            text = f"server busy: {self._in_flight} requests in flight"
            raise RequestError(429, text, {"Retry-After": "1", "Connection": "close"})

    async def _fill(self, request: Request, job: Job | TensorJob) -> Reply:
        """Have a process answer; it is ended if the client disconnects or the time runs out."""
        self._count(1)
        task = answer = None
        gone = asyncio.ensure_future(_client_gone(request))
        try:
            task = self._pool.submit(job)
            answer = asyncio.wrap_future(task.future)
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise RequestError(CLIENT_GONE, "the client disconnected")
            return answer.result()
        finally:
            gone.cancel()
            if task:
                task.give_up()
            if answer:
                answer.cancel()  # if it is not done: nobody will retrieve it
            if task is None or task.future.done():
                self._count(-1)
            else:  # it counts until the model, which may still run for it, and its process are done
                loop = asyncio.get_running_loop()
                task.future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1))

    def _count(self, change: int) -> None:
        self._in_flight += change
        self._metrics.in_flight.set(self._in_flight)


async def _client_gone(request: Request) -> None:
    """Wait until the client disconnects; the body of its request has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
