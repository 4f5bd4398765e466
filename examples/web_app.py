"""A whole FastAPI app in a container: JSON, an answer that is streamed, and a WebSocket. Needs FastAPI and websockets.

Each request, and each connection of a WebSocket, is an input; `concurrent` lets a container have a hundred of them.
"""

import asyncio
from urllib.request import urlopen

import swell as modal

app = modal.App("web-app")


@app.function()
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def site():
    from fastapi import FastAPI, WebSocket
    from fastapi.responses import StreamingResponse

    web = FastAPI()

    @web.get("/count/{n}")
    async def count(n: int):
        async def events():
            for i in range(n):
                yield f"data: {i}\n\n"  # a server-sent event
                await asyncio.sleep(0.1)

        return StreamingResponse(events(), media_type="text/event-stream")

    async def echo(socket: WebSocket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    web.add_api_websocket_route("/echo", echo)
    return web


@app.local_entrypoint()
def main():
    from websockets.sync.client import connect

    url = site.get_web_url()
    with urlopen(f"{url}/count/3") as answer:
        print("events:", [line.decode().strip() for line in answer if line.strip()])
    with connect(f"{url.replace('http', 'ws', 1)}/echo") as socket:
        socket.send("hello")
        print("echo:", socket.recv())
