"""A FastAPI app in a container, with a streamed answer and a WebSocket. Needs FastAPI."""

from asyncio import sleep
from urllib.request import urlopen

import swell as modal

app = modal.App("web-app")


@app.function()
@modal.concurrent(max_inputs=100)  # a request, or a connection of a WebSocket, is an input
@modal.asgi_app()
def site():
    from fastapi import FastAPI, WebSocket, responses

    async def events(n):
        for i in range(n):
            yield f"data: {await sleep(0.1, i)}\n\n"  # a server-sent event

    async def echo(socket: WebSocket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text.upper())

    web = FastAPI()
    web.get("/count/{n}")(lambda n: responses.StreamingResponse(events(int(n)), media_type="text/event-stream"))
    web.websocket("/echo")(echo)
    return web


@app.local_entrypoint()
def main():
    from websockets.sync.client import connect

    url = site.get_web_url()
    with urlopen(f"{url}/count/3") as answer, connect(f"ws{url.removeprefix('http')}/echo") as socket:
        print("events:", [line.decode().strip() for line in answer if line.strip()])
        socket.send("hello")
        print("echo:", socket.recv())
