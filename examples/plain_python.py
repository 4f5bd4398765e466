"""Without the command line: a Python program opens its app with `app.run()`. Run it with `python plain_python.py`.

What containers print is shown inside `with modal.enable_output():`, and nowhere else.
"""

import os

import swell as modal

app = modal.App("plain-python")


@app.function()
def where() -> int:
    return os.getpid()


if __name__ == "__main__":
    with app.run():
        print("another process:", where.remote() != os.getpid())
        print("this process:", where.local() == os.getpid())
