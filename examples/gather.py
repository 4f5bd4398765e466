"""`FunctionCall.gather` waits for several spawned calls, of one function or of many, and keeps their order."""

import swell as modal

app = modal.App("gather")


@app.function()
def count_words(text: str) -> int:
    return len(text.split())


@app.function()
def count_letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


@app.local_entrypoint()
def main():
    text = "Containers swell with demand and subside to zero"
    words, letters = modal.FunctionCall.gather(count_words.spawn(text), count_letters.spawn(text))
    print(f"{words} words, {letters} letters")
