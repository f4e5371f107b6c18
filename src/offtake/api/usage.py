"""Readings over HTTP: CloudEvents in, a verdict for each reading out.

Source: CloudEvents 1.0, HTTP protocol binding: one event in structured mode (`application/cloudevents+json`)
or a batch (`application/cloudevents-batch+json`).
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from offtake.base.errors import BadInput, BookError, OfftakeError
from offtake.base.outcome import Refused
from offtake.base.time import parse_instant
from offtake.formats.usage_file import events_table
from offtake.metering.usage import Verdict
from offtake.workflows.book import Book
from offtake.workflows.state import is_simulated
from offtake.workflows.usage import Ingested, ingest

MOST_BYTES = 64 * 1024 * 1024
"""A larger body is refused before it is read whole."""

KINDS = ("application/cloudevents+json", "application/cloudevents-batch+json", "application/json")
"""Media types that are read."""


def usage_app(book: Path, token: str, *, clock: Callable[[], float] = time.time) -> FastAPI:
    """The application that takes readings in for one book.

    Args:
        book: its directory; it is opened anew for each request, so that others may write to it between.
        token: what a sender must show as a bearer token.
        clock: the present instant.
    """
    app = FastAPI(title="offtake usage", docs_url=None, redoc_url=None, openapi_url=None)
    lock = threading.Lock()

    @app.get("/healthz")
    def healthy() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/usage/{batch}")
    async def take_in(batch: str, request: Request) -> JSONResponse:
        _check_sender(request, token)
        body = await _body(request)
        through = _through(request)
        return await run_in_threadpool(in_turn, batch, body, through)

    def in_turn(batch: str, body: str, through: dict[str, int]) -> JSONResponse:
        with lock:
            return _taken(book, batch, body, through, int(clock()))

    return app


def _check_sender(request: Request, token: str) -> None:
    said = request.headers.get("authorization", "")
    if not hmac.compare_digest(said.encode(), f"Bearer {token}".encode()):
        raise HTTPException(
            status_code=401, detail="a bearer token is needed", headers={"www-authenticate": "Bearer"}
        )


async def _body(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise HTTPException(status_code=415, detail=f"media types are {', '.join(KINDS)}")
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > MOST_BYTES:
            raise HTTPException(status_code=413, detail=f"a batch has at most {MOST_BYTES:,} bytes")
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(status_code=400, detail="the body isn't UTF-8") from error


def _through(request: Request) -> dict[str, int]:
    """`?through=source=instant`, as often as there are sources."""
    found = {}
    for said in request.query_params.getlist("through"):
        source, _, instant = said.partition("=")
        try:
            found[source] = parse_instant(instant)
        except ValueError as error:
            raise HTTPException(status_code=400, detail=f"through: {error}") from error
    return found


def _taken(directory: Path, batch: str, body: str, through: dict[str, int], now: int) -> JSONResponse:
    try:
        readings = events_table(body, batch)
        book = Book(directory)
        try:
            if is_simulated(book.state):
                return JSONResponse({"error": "simulated_book"}, status_code=409)
            outcome = ingest(book, readings, batch=batch, now=now, through=through)
        finally:
            book.close()
    except BadInput as error:
        problems = [{"where": p.where, "code": p.code, "message": p.message} for p in error.problems]
        return JSONResponse({"error": "bad_input", "problems": problems}, status_code=400)
    except BookError as error:
        # what was sent isn't lost: the sender keeps it and sends it again
        return JSONResponse({"error": type(error).__name__, "message": str(error)}, status_code=503)
    except OfftakeError as error:
        return JSONResponse({"error": type(error).__name__, "message": str(error)}, status_code=500)
    if isinstance(outcome, Refused):
        return JSONResponse({"error": outcome.code, "message": outcome.sentence}, status_code=409)
    return JSONResponse(_plain(outcome, readings.num_rows), status_code=200)


def _plain(outcome: Ingested, count: int) -> dict[str, Any]:
    """A verdict for each reading, in the order in which they came; of a batch known before, only how many."""
    answer: dict[str, Any] = {
        "batch": outcome.batch,
        "again": outcome.again,
        "counts": {str(verdict): n for verdict, n in outcome.counts.items() if n},
    }
    if outcome.verdicts is not None:
        said = [{"verdict": str(Verdict.ACCEPTED)} for _ in range(count)]
        for row in outcome.verdicts.to_pylist():
            said[row["row"]] = {k: str(row[k]) for k in ("verdict", "reason") if row[k]}
        answer["verdicts"] = said
    return answer
