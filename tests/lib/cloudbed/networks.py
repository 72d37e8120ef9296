"""Nova asks Neutron for ports, networks and quota even for a server without any network.

This answers as a Neutron that has none of them; for `networks: none` nothing else is asked.
Usage: networks.py PORT
"""
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COLLECTIONS = ("ports", "networks", "subnets", "security_groups", "extensions", "floatingips")
UNLIMITED = {
    name: -1 for name in ("port", "network", "security_group", "security_group_rule", "floatingip")
}


def answer(path: str) -> tuple[int, dict]:
    words = path.split("?")[0].strip("/").removesuffix(".json").replace("-", "_").split("/")
    if words == [""]:
        return 200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]}
    resource = words[1] if len(words) > 1 else ""
    if resource in COLLECTIONS:
        return 200, {resource: []}
    if resource == "quotas":
        return 200, {"quota": UNLIMITED}
    return 404, {"NeutronError": {"type": "NotFound", "message": path, "detail": ""}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, body = answer(self.path)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
