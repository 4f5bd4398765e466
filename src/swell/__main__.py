"""`python -m swell` is the `swell` command. Nothing here but the call."""

from swell.cli.main import main

if __name__ == "__main__":
    main()
