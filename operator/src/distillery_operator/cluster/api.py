"""EDGE: the API server's calls.

Bodies are plain dicts: the client's typed models drop what they do not know, and a pod template is
the user's.
"""

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
from kubernetes.aio import client, stream

from distillery_operator.cluster.kinds import RESOURCES, Key, Kind
from distillery_operator.cluster.kubeconfig import Access, load_own
from distillery_operator.cluster.lease import DEFAULT, Lock
from distillery_operator.errors import ApiUnavailable, Refused
from distillery_operator.resource.experiment import API_VERSION

log = logging.getLogger(__name__)

OWNERS: Final = "distillery:"
"""Begins the field manager of ``status.owner``, which goes on with the owner's identity: so the
API server itself refuses a second owner. A field manager has at most 128 characters."""

MANAGER: Final = "distillery-operator"
"""Field manager of statuses, and the component that events come from."""

CHUNK: Final = 500
"""Objects in one answer to a list."""

TIMEOUT_SECONDS: Final = 30.0

CONNECTIONS: Final = 40
"""Connections to the API server at most: a client-side brake."""

MERGE: Final = "application/strategic-merge-patch+json"
"""Knows that finalizers are a set, of which one may be removed."""
MERGE_CUSTOM: Final = "application/merge-patch+json"
"""What custom resources take: it replaces a list, so the version of what was read goes with it."""
APPLY: Final = "application/apply-patch+yaml"

BRIEF: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""Asks for the metadata alone of what was written; of a status the rest is long, and known."""

STDOUT, STDERR, ENDING = b"\x01", b"\x02", b"\x03"
"""Channels of a command in a pod: the first byte of each message."""

Observe = Callable[[str, str, int, float], None]
"""Called after each request with verb, resource, HTTP status and seconds."""


class Api:
    """Requests to the API server."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe
        self._client: client.ApiClient | None = None

    async def open(self, access: Access | None = None) -> None:
        """Find the server: as a person says it, or else by kubeconfig or service account.

        Raises:
            NotFound: there is no such kubeconfig or context.
        """
        settings = client.Configuration()
        if access is None:
            # Nobody needs a proxy or ~/.netrc here, which would be looked for at each request.
            settings.client_session_kwargs = {"trust_env": False}
            await load_own(settings)
        else:
            await access.load(settings)
        settings.connection_pool_maxsize = CONNECTIONS
        settings.retries = None  # False would count as 0 attempts, and never end on errors
        self._client = client.ApiClient(settings)
        # In managed fields and audit logs: who wrote it.
        self._client.user_agent = MANAGER if access is None else "distillery"

    def lock(self, place: Key, identity: str) -> Lock:
        """Return a Lease as something that one process at a time may hold."""
        assert self._client is not None
        return Lock(place, identity, self._client, DEFAULT.retry)

    async def close(self) -> None:
        """Close the connections."""
        if self._client:
            await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: Kind, key: Key) -> dict[str, Any]:
        """Return an object.

        Raises:
            Refused: with reason NotFound, where there is none.
        """
        return await self._request("get", kind, _place(kind, key), {})

    async def cluster(self) -> str:
        """Return what tells this cluster from others.

        It is the uid of a namespace that every cluster has and nobody can delete.

        Raises:
            Refused: this user may not know.
        """
        path = "/api/v1/namespaces/kube-system"
        code, text = await self._send("get", "namespaces", "GET", path, {}, None)
        return str(_answer(code, text)["metadata"]["uid"])

    async def read(self, path: str, seconds: float) -> bytes:
        """Return what a path answers, as it is, within some seconds."""
        code, text = await self._send("get", "proxy", "GET", path, {}, None, seconds)
        if code >= 300:
            _answer(code, text)
        return text

    async def output(
        self, pod: Key, container: str, command: Sequence[str]
    ) -> AsyncIterator[bytes]:
        """Yield what a command writes that is run in a container.

        Raises:
            Refused: by the API server, or because the command failed, with its own words.
        """
        assert self._client is not None
        path = f"{_place(Kind.POD, pod)}/exec"
        query = [("container", container), ("stdout", "true"), ("stderr", "true")]
        query += [("command", word) for word in command]
        _, url, headers, *_ = await self._client.param_serialize(
            "GET", path, query_params=query, header_params={}, auth_settings=["BearerToken"]
        )
        said, ending = b"", b"{}"
        try:
            async with (
                stream.WsApiClient(self._client.configuration) as reader,  # type: ignore[no-untyped-call]
                await reader.request("GET", url, headers=headers, _preload_content=False) as socket,
            ):
                async for message in socket:
                    channel, data = message.data[:1], message.data[1:]
                    if channel == STDOUT:
                        yield data
                    elif channel == STDERR:
                        said += data
                    elif channel == ENDING:
                        ending = data
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"the command in {pod.name} was cut off: {error!r}") from error
        if (status := json.loads(ending)).get("status") != "Success":
            told = said.decode(errors="replace").strip() or status.get("message", "it was cut off")
            raise Refused(status.get("reason", ""), f"{' '.join(command)} failed: {told}")

    async def create(self, kind: Kind, body: Mapping[str, Any], dry_run: bool = False) -> bool:
        """Create an object; return False if one of its name exists."""
        # Strict, so that a misspelt field of a template is refused rather than dropped.
        query = {"dryRun": "All", "fieldValidation": "Strict"} if dry_run else {}
        try:
            path = _path(kind, body["metadata"]["namespace"])
            await self._request("create", kind, path, query, body)
        except Refused as refusal:
            if refusal.reason == "AlreadyExists":
                return False
            raise
        return True

    async def dry_run(self, kind: Kind, body: Mapping[str, Any]) -> None:
        """Ask whether an object would be accepted.

        Raises:
            Refused: with the server's words.
        """
        await self.create(kind, body, dry_run=True)

    async def patch(
        self, kind: Kind, key: Key, body: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Merge into an object and return its metadata; one that is gone needs nothing."""
        return await self._gone_is_fine("patch", kind, _place(kind, key), {}, body)

    async def amend(self, key: Key, version: str, spec: Mapping[str, Any], manager: str) -> None:
        """Change fields of an experiment's spec, if it is still of this resource version.

        Raises:
            Refused: with reason Conflict, where it is not, or with the server's words.
        """
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        path = _place(Kind.EXPERIMENT, key)
        await self._request("patch", Kind.EXPERIMENT, path, {"fieldManager": manager}, body)

    async def delete(
        self, kind: Kind, key: Key, uid: str | None = None, version: str | None = None
    ) -> None:
        """Delete an object and, in the background, what it owns.

        Given a uid, no other object; given its resource version too, only as it was then.
        """
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        if version is not None:
            body["preconditions"]["resourceVersion"] = version
        try:
            await self._gone_is_fine("delete", kind, _place(kind, key), {}, body)
        except Refused as refusal:
            if uid is None or refusal.reason != "Conflict":
                raise

    async def apply_status(self, key: Key, status: Mapping[str, Any]) -> None:
        """Write an experiment's status by server-side apply."""
        await self._apply(key, MANAGER, status, force=True)

    async def claim(self, key: Key, identity: str, *, force: bool = False) -> bool:
        """Write into an experiment's status whose it is; False if it is another operator's.

        Whatever happens at the same time, the API server lets one of two claim it, unless by force.
        """
        try:
            await self._apply(key, f"{OWNERS}{identity}", {"owner": identity}, force=force)
        except Refused as refusal:
            if refusal.reason != "Conflict":
                raise
            return False
        return True

    async def disclaim(self, key: Key, identity: str) -> None:
        """Take an operator's own claim back."""
        await self._apply(key, f"{OWNERS}{identity}", {}, force=False)

    async def _apply(
        self, key: Key, manager: str, status: Mapping[str, Any], *, force: bool
    ) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": str(Kind.EXPERIMENT),
            "metadata": {"name": key.name, "namespace": key.namespace},
            "status": status,
        }
        path = f"{_place(Kind.EXPERIMENT, key)}/status"
        query = {"fieldManager": manager, "force": str(force).lower()}
        await self._gone_is_fine("apply", Kind.EXPERIMENT, path, query, body)

    async def event(self, body: Mapping[str, Any]) -> None:
        """Create an event; the loss of one is only logged."""
        path = f"/api/v1/namespaces/{body['metadata']['namespace']}/events"
        try:
            _answer(*await self._send("create", "events", "POST", path, {}, body))
        except (Refused, ApiUnavailable) as error:
            log.warning("the event %s could not be written: %s", body["reason"], error)

    async def found(
        self, kind: Kind, namespace: str, selector: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield objects by label, of one namespace or all, in answers of bounded size."""
        resource, path = RESOURCES[kind].plural, _path(kind, namespace)
        async for item in self._listed(resource, path, selector):
            yield item

    async def spaces(self, selector: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the namespaces that have labels."""
        async for item in self._listed("namespaces", "/api/v1/namespaces", selector):
            yield item

    async def may_list(self, kind: Kind, namespace: str) -> None:
        """Ask whether objects of a namespace may be listed.

        Raises:
            Refused: they may not.
        """
        await self._request("list", kind, _path(kind, namespace), {"limit": "1"})

    async def items(
        self, resource: str, path: str, query: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """Return objects of a kind that is not watched: at most as many as one answer holds.

        Raises:
            Refused: there is no such kind, or it may not be read.
        """
        asked = {**query, "limit": str(CHUNK)}
        answer = _answer(*await self._send("list", resource, "GET", path, asked, None))
        return answer.get("items") or []

    async def _listed(
        self, resource: str, path: str, selector: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        query = {"labelSelector": selector, "limit": str(CHUNK)}
        while True:
            answer = _answer(*await self._send("list", resource, "GET", path, query, None))
            for item in answer.get("items") or []:
                yield item
            if not (token := answer["metadata"].get("continue")):
                return
            query["continue"] = token

    async def named(self, key: Key) -> list[Mapping[str, Any]]:
        """Return the metadata of the experiment of a name: one, or none."""
        query = {"fieldSelector": f"metadata.name={key.name}"}
        answer = await self._request(
            "list", Kind.EXPERIMENT, _path(Kind.EXPERIMENT, key.namespace), query
        )
        return [item["metadata"] for item in answer["items"]]

    async def _gone_is_fine(
        self,
        verb: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
    ) -> Mapping[str, Any] | None:
        try:
            return await self._request(verb, kind, path, query, body)
        except Refused as refusal:
            if refusal.reason != "NotFound":
                raise
            return None

    async def _request(
        self,
        verb: str,
        kind: Kind,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        methods = {"create": "POST", "delete": "DELETE", "list": "GET", "get": "GET"}
        method = methods.get(verb, "PATCH")
        return _answer(*await self._send(verb, RESOURCES[kind].plural, method, path, query, body))

    async def _send(
        self,
        verb: str,
        resource: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        seconds: float = TIMEOUT_SECONDS,
    ) -> tuple[int, bytes]:
        assert self._client is not None
        accept = BRIEF if method in ("POST", "PATCH") else "application/json"
        headers = {"Accept": accept, "Content-Type": "application/json"}
        if method == "PATCH":
            merge = MERGE_CUSTOM if resource == RESOURCES[Kind.EXPERIMENT].plural else MERGE
            headers["Content-Type"] = APPLY if verb == "apply" else merge
        begun, code = time.monotonic(), 0
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*request, _request_timeout=seconds)
            code = response.status
            text: bytes = await response.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"the API server does not answer: {error!r}") from error
        finally:
            self._observe(verb, resource, code, time.monotonic() - begun)
        return code, text


def _path(kind: Kind, namespace: str) -> str:
    resource = RESOURCES[kind]
    api = f"/apis/{resource.group}" if resource.group else "/api"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{api}/{resource.version}{scope}/{resource.plural}"


def _place(kind: Kind, key: Key) -> str:
    """Return the path of one object."""
    return f"{_path(kind, key.namespace)}/{key.name}"


def _answer(code: int, text: bytes) -> dict[str, Any]:
    """Return the server's answer, or raise what it means."""
    try:
        answer: dict[str, Any] = json.loads(text)
    except ValueError:
        answer = {"message": text[:500].decode(errors="replace")}
    if code < 300:
        return answer
    message, reason = answer.get("message", ""), answer.get("reason", "")
    if code in (408, 429) or code >= 500:
        raise ApiUnavailable(f"the API server answers {code}: {message}")
    raise Refused(reason, message)
