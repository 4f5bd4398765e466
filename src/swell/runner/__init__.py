"""The program in a container: loads the user's code, runs inputs, reports results."""
