"""What is assumed of the kubernetes client beyond its documentation: nothing of it is private."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio import client, stream

MESSAGE = b"\x01" + bytes(range(256)) * 128  # 32 KiB, no text


@asynccontextmanager
async def serving(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[client.ApiClient]:
    """Return a client, set as the operator sets it, of a server on this machine."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings.client_session_kwargs = {"trust_env": False}
    settings.api_key = {"BearerToken": "secret"}
    settings.api_key_prefix = {"BearerToken": "Bearer"}
    settings.retries = None
    try:
        async with client.ApiClient(settings) as api:
            yield api
    finally:
        await runner.cleanup()


async def request(api: client.ApiClient, **more: Any) -> Any:
    made = await api.param_serialize(
        "GET", "/apis", query_params=[("a", "b c")], header_params={"Accept": "text/plain"},
        auth_settings=["BearerToken"],
    )  # fmt: skip
    return await api.call_api(*made, **more)


@pytest.mark.parametrize("code", [200, 404, 409, 429, 500, 503])
def test_an_answer_of_any_status_is_returned_and_asked_for_once(code: int) -> None:
    seen: list[str] = []

    async def answer(asked: web.Request) -> web.Response:
        seen.append(f"{asked.path_qs} {asked.headers['Authorization']} {asked.headers['Accept']}")
        return web.Response(status=code, text="words")

    async def ask() -> tuple[int, bytes]:
        async with serving(answer) as api:
            response = await request(api)
            return response.status, await response.read()

    assert asyncio.run(ask()) == (code, b"words")
    assert seen == ["/apis?a=b%20c Bearer secret text/plain"]


def test_a_request_ends_after_its_time() -> None:
    async def answer(asked: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def ask() -> None:
        async with serving(answer) as api:
            with pytest.raises(TimeoutError):
                await request(api, _request_timeout=0.1)

    asyncio.run(ask())


def test_a_proxy_of_the_environment_is_asked_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def answer(asked: web.Request) -> web.Response:
        return web.Response(text="words")

    async def ask() -> int:
        async with serving(answer) as api:
            return int((await request(api)).status)

    assert asyncio.run(ask()) == 200


def test_a_websocket_of_the_same_settings_gives_each_message_as_it_is() -> None:
    async def answer(asked: web.Request) -> web.WebSocketResponse:
        assert asked.headers["Authorization"] == "Bearer secret"
        socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
        await socket.prepare(asked)
        assert socket.ws_protocol == "v4.channel.k8s.io"
        for _ in range(100):
            await socket.send_bytes(MESSAGE)
        await socket.close()
        return socket

    async def read() -> list[bytes]:
        async with serving(answer) as api:
            _, url, headers, *_ = await api.param_serialize(
                "GET", "/exec", header_params={}, auth_settings=["BearerToken"]
            )
            async with (
                stream.WsApiClient(api.configuration) as reader,  # type: ignore[no-untyped-call]
                await reader.request("GET", url, headers=headers, _preload_content=False) as socket,
            ):
                return [message.data async for message in socket]

    assert asyncio.run(read()) == [MESSAGE] * 100
