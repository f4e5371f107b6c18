"""Prometheus' HTTP API: expressions asked at an instant or over a span.

An answer counts only when it is whole. One with warnings is refused, because a part of the data may be
missing from it. Long spans are asked in pieces: Prometheus refuses more than 11,000 points of a series in
one answer.

Source: Prometheus' documentation, "HTTP API".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from offtake.base.outcome import Refused

POINTS_MAX = 11_000
"""Points of a series that Prometheus answers with at most."""

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values of one set of labels.

    Shapes: `points` is as long as the series has values; those that aren't finite are left out.
    Units: instants in seconds since the epoch.

    Attributes:
        labels: by name.
        points: instants and values, rising.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prometheus:
    """A server.

    Attributes:
        url: where it is, without ``/api``.
        token_file: holds a bearer token, which is read for each question and shown nowhere.
        timeout_s: how long an answer may take.
    """

    url: str
    token_file: Path | None = None
    timeout_s: float = TIMEOUT_S

    def query(self, expression: str, at: int) -> tuple[Series, ...] | Refused:
        """An expression at an instant.

        Refusals: those of `_asked`.
        """
        data = self._asked("query", {"query": expression, "time": str(at)}, "vector")
        return data if isinstance(data, Refused) else tuple(_series(one, [one["value"]]) for one in data)

    def samples(self, selector: str, at: int) -> tuple[Series, ...] | Refused:
        """Every sample of a range selector such as ``m[1h]``, as it was scraped, up to an instant.

        Refusals: those of `_asked`.
        """
        data = self._asked("query", {"query": selector, "time": str(at)}, "matrix")
        return data if isinstance(data, Refused) else tuple(_series(one, one["values"]) for one in data)

    def query_range(self, expression: str, start: int, end: int, step_s: int) -> tuple[Series, ...] | Refused:
        """An expression from start to end, both inclusive, every so many seconds.

        Refusals: those of `_asked`.
        """
        found: dict[tuple[tuple[str, str], ...], Series] = {}
        for first, last in spans(start, end, step_s):
            words = {"query": expression, "start": str(first), "end": str(last), "step": str(step_s)}
            data = self._asked("query_range", words, "matrix")
            if isinstance(data, Refused):
                return data
            for series in (_series(one, one["values"]) for one in data):
                key = tuple(sorted(series.labels.items()))
                known = found[key].points if key in found else ()
                found[key] = Series(labels=series.labels, points=known + series.points)
        return tuple(found[key] for key in sorted(found))

    def _asked(self, path: str, words: Mapping[str, str], kind: str) -> list[dict[str, Any]] | Refused:
        """The result of a question, if it is whole.

        Refusals: `prometheus_no_token` where the token can't be read, `prometheus_unreached` where no answer
        came, `prometheus_refused` where it is a no, has warnings, or can't be understood.
        """
        headers = self._headers()
        if isinstance(headers, Refused):
            return headers
        try:
            answer = httpx2.post(
                f"{self.url.rstrip('/')}/api/v1/{path}", data=words, headers=headers, timeout=self.timeout_s,
                trust_env=False, follow_redirects=False,
            )  # fmt: skip
        except httpx2.TransportError as error:
            why = str(error) or type(error).__name__
            return Refused(
                code="prometheus_unreached",
                sentence=f"Prometheus at {self.url} can't be reached: {why}",
                facts={"url": self.url},
            )
        return _whole(answer, kind, self.url)

    def _headers(self) -> dict[str, str] | Refused:
        """With the token, which is looked at before it is sent: an error of the library would show it."""
        if self.token_file is None:
            return {}
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it isn't plain text"
            return _no_token(self.token_file, str(why))
        if not token or not all("!" <= c <= "~" for c in token):
            return _no_token(self.token_file, "it holds nothing that can be a token")
        return {"authorization": f"Bearer {token}"}


def spans(start: int, end: int, step_s: int, most: int = POINTS_MAX) -> Iterator[tuple[int, int]]:
    """A span in pieces of at most so many points, both ends inclusive, on the steps of the whole."""
    while start <= end:
        last = min(end, start + (most - 1) * step_s)
        yield start, last
        start += most * step_s


def _whole(answer: httpx2.Response, kind: str, url: str) -> list[dict[str, Any]] | Refused:
    try:
        body = answer.json()
        status = body["status"]
    except (ValueError, KeyError, TypeError):
        return _refused(url, f"it answered {answer.status_code}, and not as Prometheus does")
    if status != "success":
        return _refused(
            url, f"it answered {answer.status_code}: {body.get('errorType')}: {body.get('error')}"
        )
    if body.get("warnings"):
        return _refused(url, f"the answer may not be whole: {'; '.join(map(str, body['warnings']))}")
    try:
        data = body["data"]
        if data["resultType"] != kind:
            return _refused(url, f"it answered with a {data['resultType']} instead of a {kind}")
        return list(data["result"])
    except (KeyError, TypeError):
        return _refused(url, "its answer has no data")


def _series(one: Mapping[str, Any], points: list[Any]) -> Series:
    values = ((float(at), float(text)) for at, text in points)
    return Series(
        labels=dict(one["metric"]), points=tuple((at, value) for at, value in values if math.isfinite(value))
    )


def _refused(url: str, why: str) -> Refused:
    return Refused(code="prometheus_refused", sentence=f"Prometheus at {url}: {why}", facts={"url": url})


def _no_token(path: Path, why: str) -> Refused:
    return Refused(
        code="prometheus_no_token", sentence=f"{path}, the token for Prometheus, can't be used: {why}"
    )
