"""A webhook that puts a sidecar into every pod of a namespace, as meshes and agents do."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support import certificates
from support.cluster.access import Cluster
from support.spaces import Space

Object = dict[str, Any]

NAME = "sidecars"


class _Server(ThreadingHTTPServer):
    """Serves admission reviews by HTTPS."""

    def __init__(self, folder: Path, container: Mapping[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.container = container
        self.injected = 0
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{NAME}.crt", folder / f"{NAME}.key")
        # The handshake is the affair of the thread that answers, not of the one that accepts.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )


class _Handler(BaseHTTPRequestHandler):
    """Answers one review: the pod is allowed, with one container more."""

    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = [{"op": "add", "path": "/spec/containers/-", "value": self.server.container}]
        self.server.injected += 1
        response = {
            "uid": review["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        kind = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        body = json.dumps({**kind, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


@contextmanager
def injected(
    cluster: Cluster, space: Space, folder: Path, container: Mapping[str, Any]
) -> Iterator[None]:
    """Let every pod that a namespace gets meanwhile have one more container.

    The webhook is one of those that fail what they cannot look at. Its files are in the folder.
    """
    certificates.make(folder, NAME, NAME, "-addext", "subjectAltName=IP:127.0.0.1")
    with _Server(folder, container) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            hook = _hook(space, server.server_port, (folder / f"{NAME}.crt").read_bytes())
            cluster.kubectl("apply", "--filename=-", stdin=json.dumps(hook))
            yield
            assert server.injected
        finally:
            cluster.kubectl("delete", "mutatingwebhookconfiguration", NAME, "--ignore-not-found")
            server.shutdown()
            thread.join()


def _hook(space: Space, port: int, certificate: bytes) -> Object:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    hook = {
        "name": "sidecars.example.com",
        "rules": [{**rule, "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/",
            "caBundle": base64.b64encode(certificate).decode(),
        },
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [hook],
    }
