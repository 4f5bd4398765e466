"""What an event costs the bare engine, and whether it costs more when there is more of everything.

    .venv-test/bin/python -m benchmarks.engine                            every row at every size: minutes
    .venv-test/bin/python -m benchmarks.engine serial-1ms start-demand    these rows
    .venv-test/bin/python -m benchmarks.engine --sizes 10,1000 --seconds 1
    .venv-test/bin/python -m benchmarks.engine --list

No process is started: `driver.Driver` feeds an engine events, as containers and clients would, and follows its effects.
A row (`rows_*`) is a generator that builds a world of some size, then yields after each unit of its work. What is
measured is CPU time of the engine alone, per unit, and the longest single step (one `handle` or `tick`).
"""
