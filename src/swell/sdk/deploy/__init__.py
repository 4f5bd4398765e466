"""From an App to a server that has it: its specs, its source files, and how it is run or deployed there."""
