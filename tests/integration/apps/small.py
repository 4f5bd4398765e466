"""A site, one request at a time, for tests of limits; its app is apart, so that each module may run its own."""

from __future__ import annotations

from webs import site_app

import swell

app = swell.App("small")


@app.function(max_containers=1)
@swell.asgi_app(label="small")
def site() -> object:
    return site_app


@app.function(max_containers=1)
@swell.asgi_app(label="guarded", requires_proxy_auth=True)
def guarded() -> object:
    return site_app
