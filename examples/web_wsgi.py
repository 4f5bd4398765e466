"""A WSGI app, such as those of Flask and Django; this one needs neither. Requests run on threads of the container."""

from urllib.request import urlopen

import swell as modal

app = modal.App("web-wsgi")


@app.function()
@modal.concurrent(max_inputs=10)
@modal.wsgi_app()
def site():
    def answer(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"you asked for {environ['PATH_INFO']}\n".encode()]

    return answer


@app.local_entrypoint()
def main():
    with urlopen(f"{site.get_web_url()}/some/page") as answer:
        print(answer.status, answer.read().decode().strip())
