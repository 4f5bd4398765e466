"""A script without a main guard: containers that import it come upon its `app.run()`, too."""

import swell

app = swell.App("runs itself")


@app.function()
def one() -> int:
    return 1


with app.run():
    print(one.remote())
