"""A spawned call is on disk before `spawn` returns: it outlives this program, and the server, even if that is killed.

swell start
swell deploy examples/durable.py
python examples/durable.py start           # prints the id of the call
swell restart                              # or a crash, or the next day
python examples/durable.py collect fc-…    # the results, for 7 days after the end
"""

import sys
import time

import swell as modal

app = modal.App("durable")


@app.function(max_containers=2)
def slow_square(x: int) -> int:
    time.sleep(0.5)
    return x * x


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start"]:
            call = modal.Function.from_name("durable", "slow_square").spawn_map(range(10))
            print(call.object_id)
        case ["collect", call_id]:
            print(list(modal.FunctionCall.from_id(call_id).iter()))
        case _:
            sys.exit("usage: durable.py start, or durable.py collect ID")
