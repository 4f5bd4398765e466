"""The pool of a function is scaled by four settings, which can be changed while it runs; other settings stay."""

import time

import swell as modal

app = modal.App("autoscaler")


@app.function(max_containers=1, scaledown_window=2)
def work(x: int) -> int:
    time.sleep(0.2)
    return x


@app.local_entrypoint()
def main():
    calls = [work.spawn(x) for x in range(20)]
    print("one container at most:", work.get_current_stats())

    settings = work.update_autoscaler(max_containers=4, buffer_containers=1)
    print("now:", settings)
    print("results:", sum(modal.FunctionCall.gather(*calls)))
    print("afterwards:", work.get_current_stats())
