"""What stands before a service: passes everything on, or answers for it, as a load balancer does."""
import http.client
from pathlib import Path
from urllib.parse import urlsplit

from vmbed.serving import HttpAnswer, HttpRequest, HttpServing

NOT_PASSED_ON = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


class Front(HttpServing):
    """Context manager; `url` instead of the service's `target`; https with the server's certificate of a folder
    (certificates.py).

    refuse_with  the status that it answers to everything while that is not 0
    requests     lines of requests, as "GET /v2.1/servers"
    tokens       those that Keystone gave out through it
    """

    def __init__(self, target: str, certificates: Path | None = None) -> None:
        self.refuse_with = 0
        self.requests: list[str] = []
        self.tokens: list[str] = []
        self._target = urlsplit(target)
        super().__init__(certificates)

    @property
    def url(self) -> str:
        return self.base_url

    def answer(self, request: HttpRequest) -> HttpAnswer:
        self.requests.append(f"{request.method} {request.path}")
        if self.refuse_with:
            return HttpAnswer(self.refuse_with, {}, b'{"error": {"message": "not now"}}')
        try:
            answer = self._pass_on(request)
        except OSError:
            return HttpAnswer(502)
        if "X-Subject-Token" in answer.headers:
            self.tokens.append(answer.headers["X-Subject-Token"])
        return answer

    def _pass_on(self, request: HttpRequest) -> HttpAnswer:
        there = http.client.HTTPConnection(self._target.netloc, timeout=60)
        there.request(request.method, request.path, request.body, _kept(request.headers.items()))
        response = there.getresponse()
        answer = HttpAnswer(response.status, _kept(response.getheaders()), response.read())
        there.close()
        return answer


def _kept(headers: object) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in NOT_PASSED_ON}
