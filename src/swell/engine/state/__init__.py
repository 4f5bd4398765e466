"""What there is: apps, pools, calls, inputs, containers, nodes, each changed by its own methods. No rule lives here."""
