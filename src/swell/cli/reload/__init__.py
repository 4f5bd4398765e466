"""How `swell serve` reloads: a worker process for each state of the files, and the protocol it speaks."""
