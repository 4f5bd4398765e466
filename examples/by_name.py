"""Calls what is deployed, by name, and needs none of its code. `deployed.py` says how to deploy it.

Whichever version is live answers; `version=1` would keep to one.
"""

import swell as modal

greet = modal.Function.from_name("deployed", "greet")
Dictionary = modal.Cls.from_name("deployed", "Dictionary")

if __name__ == "__main__":
    print(greet.remote("Ada"))
    print(list(Dictionary(language="fr").translate.map(["cat", "dog"])))
