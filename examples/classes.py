"""A class keeps state in its container: `enter` prepares it once, methods use it, `exit` puts it away.

Each set of parameters has a pool of its own.
"""

import swell as modal

app = modal.App("classes")


@app.cls(scaledown_window=2)
class Translator:
    language: str = modal.parameter()

    @modal.enter()
    def load(self):
        self.words = {"fr": {"cat": "chat", "dog": "chien"}, "de": {"cat": "Katze", "dog": "Hund"}}[self.language]

    @modal.method()
    def translate(self, word: str) -> str:
        return self.words[word]

    @modal.exit()
    def goodbye(self):
        print(f"closing the {self.language} dictionary")


@app.local_entrypoint()
def main():
    french, german = Translator(language="fr"), Translator(language="de")
    print(french.translate.remote("cat"), german.translate.remote("cat"))
    print(list(german.translate.map(["cat", "dog"])))
