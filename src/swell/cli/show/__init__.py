"""How things are shown and written: tables, progress, log lines, times and numbers. Nothing here knows a command."""
