"""A schedule: once deployed, the functions run by themselves, on the daemon, until the app is stopped.

swell start
swell deploy examples/schedule.py
swell app logs --follow schedule
swell app stop schedule
"""

import time

import swell as modal

app = modal.App("schedule")


@app.function(schedule=modal.Period(seconds=2))
def tick():
    print(f"tick at {time.strftime('%H:%M:%S')}")


@app.function(schedule=modal.Cron("30 6 * * mon-fri", timezone="Europe/Berlin"))
def morning():
    print("Good morning!")
