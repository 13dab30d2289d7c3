"""The paths of the Open Inference Protocol, for KServe and Triton clients; see `server.tensors`."""

from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from shiftnet_tf import __version__
from shiftnet_tf.model_folder import INPUTS
from shiftnet_tf.server.messages import TensorJob
from shiftnet_tf.server.responses import REFUSALS, Refusal, RequestError
from shiftnet_tf.server.service import Service
from shiftnet_tf.server.tensors import HEADER, Tensor, describe_tensors

MODEL_NAME = "shiftnet"
_VERSION = "1"
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Invalid tensor or JSON; `error` says why", "model": Refusal},
    **{status: REFUSALS[status] for status in (401, 403, 408, 413, 429, 503)},
    415: {"description": "The body is compressed", "model": Refusal},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "description": "See the protocol"}}},
    }
}


class ServerMetadata(BaseModel):
    """The server's name and version."""

    name: str
    version: str
    extensions: list[str]


class ModelMetadata(BaseModel):
    """The model's inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


def add_inference(app: FastAPI, service: Service, name: str, guarded: list[Any]) -> None:
    """Add the paths below /v2.

    Args:
        app: the application.
        service: answers the requests.
        name: the model's name.
        guarded: FastAPI dependencies of the path that uses the model.
    """
    _add_server(app, service)
    for version in ("", f"/versions/{_VERSION}"):
        _add_model(app, service, name, f"/v2/models/{name}{version}", guarded, in_schema=not version)


def _add_server(app: FastAPI, service: Service) -> None:
    refusals: dict[int | str, dict[str, Any]] = {403: REFUSALS[403]}
    unhealthy = refusals | {503: REFUSALS[503] | {"description": "The model does not respond"}}

    @app.get("/v2", responses=refusals, summary="Open Inference Protocol: the server")
    async def server() -> ServerMetadata:
        return ServerMetadata(name="shiftnet", version=__version__, extensions=["binary_tensor_data"])

    @app.get("/v2/health/live", responses=unhealthy, summary="Open Inference Protocol: whether the server works")
    async def live() -> dict[str, bool]:
        service.health()
        return {"live": True}

    @app.get("/v2/health/ready", responses=unhealthy, summary="Open Inference Protocol: whether the model answers")
    async def ready() -> dict[str, bool]:
        service.health()
        return {"ready": True}


def _add_model(app: FastAPI, service: Service, name: str, path: str, guarded: list[Any], in_schema: bool) -> None:
    tensors = {
        kind: describe_tensors(list(names), service.image_size)
        for kind, names in (("inputs", INPUTS), ("outputs", service.outputs))
    }
    platform = str(service.health()["runtime"])
    refusals: dict[int | str, dict[str, Any]] = {status: REFUSALS[status] for status in (403, 503)}
    shown: dict[str, Any] = {"include_in_schema": in_schema}

    @app.get(path, responses=refusals, summary="Open Inference Protocol: the model's tensors", **shown)
    async def metadata() -> ModelMetadata:
        return ModelMetadata(name=name, versions=[_VERSION], platform=platform, **tensors)

    @app.get(f"{path}/ready", responses=refusals, summary="Open Inference Protocol: whether the model answers", **shown)
    async def ready() -> dict[str, str | bool]:
        service.health()
        return {"name": name, "ready": True}

    @app.post(
        f"{path}/infer",
        responses=_REFUSALS,
        dependencies=guarded,
        openapi_extra=_BODY,
        summary="Open Inference Protocol: run the model",
        **shown,
    )
    async def infer(request: Request) -> Response:
        return await service.answer(request, make_job)

    def make_job(request: Request, body: bytearray) -> TensorJob:
        if coding := request.headers.get("content-encoding"):
            raise RequestError(
                415, f"compressed bodies are not supported: send no Content-Encoding. Received: {coding[:40]!r}"
            )
        return TensorJob(name, request.headers.get(HEADER), body)
