"""How things are shown and written: tables, boards, log lines, times and numbers. Nothing here knows a command."""
