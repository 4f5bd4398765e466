"""The site that every contestant serves: FastAPI, with one small answer. It must not know who serves it."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"hello": "world"}
