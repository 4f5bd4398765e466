"""An app to be deployed: it lives on the daemon, and any program calls it by name, as `by_name.py` does.

swell start
swell deploy examples/deployed.py
python examples/by_name.py
swell stop
"""

import swell as modal

app = modal.App("deployed")


@app.function()
def greet(name: str) -> str:
    return f"Hello, {name}!"


@app.cls()
class Dictionary:
    language: str = modal.parameter()

    @modal.enter()
    def load(self):
        self.words = {"fr": {"cat": "chat", "dog": "chien"}, "de": {"cat": "Katze", "dog": "Hund"}}[self.language]

    @modal.method()
    def translate(self, word: str) -> str:
        return self.words[word]
