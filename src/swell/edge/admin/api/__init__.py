"""The JSON API: what a program that is not Python, or not here, asks of swell and has it do."""
