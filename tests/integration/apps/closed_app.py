"""A program that writes to a file, since its standard streams may be closed."""

import os
import sys

import swell

app = swell.App("closed")


@app.function()
def one() -> tuple[int, bytes | None]:
    return 1, os.environb.get(b"ODD")


if __name__ == "__main__":
    with app.run():
        result = one.remote()
    with open(sys.argv[1], "w") as out:
        out.write(repr(result))
