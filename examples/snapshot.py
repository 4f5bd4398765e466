"""A memory snapshot: slow preparation runs once, and further containers are copies of the prepared process."""

import os
import time

import swell as modal

app = modal.App("snapshot")


@app.cls(enable_memory_snapshot=True, single_use_containers=True)
class Model:
    @modal.enter(snap=True)
    def load(self):
        time.sleep(1)  # stands for reading weights
        self.weights = list(range(100_000))
        self.loaded_in = os.getpid()

    @modal.method()
    def predict(self, x: int) -> tuple[int, bool]:
        return self.weights[x], self.loaded_in == os.getpid()


@app.local_entrypoint()
def main():
    for x in range(3):
        started = time.perf_counter()
        value, loaded_here = Model().predict.remote(x)
        took = time.perf_counter() - started
        print(f"{value} in {took:.2f} s, loaded {'here' if loaded_here else 'in the snapshot'}")
