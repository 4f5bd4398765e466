"""`for_each` runs a function for its effect: nothing is returned, and failures can be ignored."""

import swell as modal

app = modal.App("for-each")


@app.function()
def report(city: str, *, greeting: str) -> None:
    if not city:
        raise ValueError("a city needs a name")
    print(f"{greeting} from {city}")


@app.local_entrypoint()
def main():
    cities = ["Lisbon", "", "Oslo", "Nairobi"]
    report.for_each(cities, kwargs={"greeting": "Hello"}, ignore_exceptions=True)
    print("done")
