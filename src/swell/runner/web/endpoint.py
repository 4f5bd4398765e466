"""A function as the only route of a web app: FastAPI reads its arguments, and shows its documentation.

FastAPI is the user's, and is imported here alone. This module must not know how the app is served.
"""

from __future__ import annotations

from swell.errors import InvalidError
from swell.model import WebSpec
from swell.runner.entry import EntryPoint
from swell.runner.web.middleware import AsgiApp

__all__ = ["endpoint_app"]


def endpoint_app(entry: EntryPoint, spec: WebSpec, title: str) -> AsgiApp:
    """Return an app that answers requests to / with what the function returns, to whichever site asks from a browser.

    Raises:
        InvalidError: FastAPI is not installed, or cannot make a route of the function; says why.
    """
    try:
        from fastapi import FastAPI
        from fastapi.exceptions import FastAPIError
        from fastapi.middleware.cors import CORSMiddleware
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "starlette", "pydantic"):
            raise
        raise InvalidError(
            f"{title} is under @swell.fastapi_endpoint, and FastAPI is not installed where its containers run: "
            "pip install fastapi"
        ) from error
    app = FastAPI(
        title=title,
        openapi_url="/openapi.json" if spec.docs else None,
        docs_url="/docs" if spec.docs else None,
        redoc_url="/redoc" if spec.docs else None,
    )
    app.add_middleware(
        CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"], allow_headers=["*"]
    )
    try:
        app.add_api_route("/", entry.call, methods=[spec.method])
    except FastAPIError as error:
        raise InvalidError(f"FastAPI cannot make a route of {title}: {error}") from error
    return app
