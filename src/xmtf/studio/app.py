"""The routes of the studio: each a request type, a function, an answer type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xmtf.errors import DataError, UnknownNameError, UserError, XmtfError
from xmtf.loopback.checks import refusal
from xmtf.loopback.pages import LOOK, Pages
from xmtf.studio import browse, checking, look, saving, translating, trying
from xmtf.studio.interface.browsing import (
    Collection,
    DeleteRequest,
    Difference,
    ErrorBody,
    Fault,
    Findings,
    Health,
    KeepRequest,
    Kept,
    LintRequest,
    Renderings,
    RenderRequest,
    Rows,
    Saved,
    SaveRequest,
    Templates,
    WholeRow,
)
from xmtf.studio.interface.translating import (
    Decided,
    DecisionRequest,
    Suggestion,
    SuggestRequest,
    Translations,
    TranslationsRequest,
)
from xmtf.studio.interface.trying import TryEvents, TryRequest
from xmtf.studio.process.worker import WorkerError
from xmtf.studio.session import Session

__all__ = ["OPERATIONS", "Operation", "build_app"]

STATIC = Path(__file__).with_name("static")


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the interface does.

    Attributes:
        method: Of the request.
        path: Below the server's address.
        request: Type of its body, or of its parameters in the address for GET.
        answer: Type of what it answers.
        function: Does it.
    """

    method: str
    path: str
    request: type[BaseModel]
    answer: type[BaseModel]
    function: Callable[[Session, BaseModel], BaseModel | Response]


def _operation(
    method: str, path: str, request: type[BaseModel], answer: type[BaseModel], function: Callable[..., object]
) -> Operation:
    return Operation(method, path, request, answer, function)  # type: ignore[arg-type]  # request fits the function


OPERATIONS: tuple[Operation, ...] = (
    _operation("GET", "/api/health", browse.Nothing, Health, browse.health),
    _operation("GET", "/api/collection", browse.Nothing, Collection, browse.collection),
    _operation("GET", "/api/rows", browse.RowsRequest, Rows, browse.rows),
    _operation("GET", "/api/row", browse.RowRequest, WholeRow, browse.row),
    _operation("GET", "/api/templates", browse.KeyRequest, Templates, browse.templates),
    _operation("POST", "/api/render", RenderRequest, Renderings, look.render),
    _operation("POST", "/api/lint", LintRequest, Findings, checking.lint),
    _operation("GET", "/api/overview", browse.Nothing, Collection, checking.overview),
    _operation("PUT", "/api/templates", SaveRequest, Saved, saving.save),
    _operation("DELETE", "/api/templates", DeleteRequest, Saved, saving.delete),
    _operation("POST", "/api/keep", KeepRequest, Kept, saving.keep),
    _operation("GET", "/api/translations", TranslationsRequest, Translations, translating.translations),
    _operation("POST", "/api/translations/suggest", SuggestRequest, Suggestion, translating.suggest),
    _operation("PUT", "/api/translations", DecisionRequest, Decided, translating.decide),
    _operation("POST", "/api/try", TryRequest, TryEvents, trying.try_model),
    _operation("GET", "/api/diff", browse.KeyRequest, Difference, saving.difference),
)


def build_app(session: Session) -> Starlette:
    """Return the application; it must be behind :class:`xmtf.loopback.checks.Guarded`."""
    pages = Pages(STATIC, LOOK)

    async def index(request: Request) -> Response:
        return pages.answer("index.html")

    return Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name:path}", pages.endpoint),
            *(Route(each.path, _endpoint(session, each), methods=[each.method]) for each in OPERATIONS),
        ],
        exception_handlers={
            UserError: _user_error,
            DataError: _user_error,
            HTTPException: _http_error,
            Exception: _fault,
        },
    )


def _endpoint(session: Session, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            if operation.method == "GET":
                asked = operation.request.model_validate(_parameters(request))
            else:
                if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                    return refusal(415, "type", "request bodies must be application/json")
                asked = operation.request.model_validate_json(await request.body())
        except ValidationError as error:
            return refusal(422, "request", _first(error))
        done = await run_in_threadpool(operation.function, session, asked)
        if isinstance(done, Response):
            return done
        return Response(done.model_dump_json(), media_type="application/json")

    return answer


def _parameters(request: Request) -> Mapping[str, str]:
    return {key: value for key, value in request.query_params.items() if value != "" or key == "query"}


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


async def _user_error(request: Request, error: Exception) -> Response:
    if isinstance(error, saving.ConflictError):
        return Response(error.conflict.model_dump_json(), 409, media_type="application/json")
    status = 404 if isinstance(error, UnknownNameError) else 500 if isinstance(error, DataError) else 400
    assert isinstance(error, XmtfError)
    line = error.line if isinstance(error, WorkerError) else None
    message = " ".join(str(error).split())
    body = ErrorBody(error=Fault(code=error.code, message=message, line=line))
    return Response(body.model_dump_json(), status, media_type="application/json")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not-found", 405: "method", 413: "too-large"}.get(error.status_code, "http")
    return refusal(error.status_code, code, str(error.detail))


async def _fault(request: Request, error: Exception) -> Response:
    """Answer a fault of the server; its traceback is in the terminal."""
    return refusal(500, "fault", f"this is a bug in xmtf ({type(error).__name__}); see the terminal for details")
