"""Portable environments: what of a client's environment and of its specs holds on a machine that is not the client's.

The code comes in a bundle, which is also the working directory. Interpreter and installed packages are those of the
machine that runs it. Variables are divided: those of a machine come from the one that runs the code, all others from
the client. What images and Secrets set is part of a spec, and always holds. This module must not know bundles, nodes,
or who is on which machine.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from swell.model import Environment, FunctionSpec

__all__ = ["portable_environment", "portable_spec"]

#: Variables that say where something is on a machine, or whose it is. Those of a login session have been left out by
#: the client: no version has them.
_OF_A_MACHINE: Final = frozenset(
    {
        "CUDA_VISIBLE_DEVICES",
        "CURL_CA_BUNDLE",
        "HOME",
        "HOSTNAME",
        "INFOPATH",
        "LOGNAME",
        "MAIL",
        "MANPATH",
        "NVIDIA_VISIBLE_DEVICES",
        "PATH",
        "PKG_CONFIG_PATH",
        "REQUESTS_CA_BUNDLE",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "SWELL_DATA_DIR",
        "TEMP",
        "TMP",
        "TMPDIR",
        "USER",
    }
)
_OF_MACHINES: Final = ("CONDA_", "LD_", "NIX_", "PYENV_", "PYTHON", "VIRTUAL_ENV", "XDG_")


def portable_environment(environment: Environment, bundle: str) -> Environment:
    """Return an environment without what belongs to the client's machine, with the bundle of that digest.

    Whether the client had a PYTHONPATH remains: then programs that the code starts get the bundle by theirs.
    """
    kept = {name: value for name, value in environment.variables.items() if not _is_of_a_machine(name)}
    if "PYTHONPATH" in environment.variables:
        kept["PYTHONPATH"] = ""
    raw = tuple(one for one in environment.raw_variables if not _is_of_a_machine(one[0].decode("utf-8", "replace")))
    return Environment("", "", (), kept, bundle, argv=environment.argv, raw_variables=raw)


def portable_spec(spec: FunctionSpec) -> FunctionSpec:
    """Return a spec without paths of the client's machine: what is installed there is imported by its name."""
    source = spec.source
    if source.file is not None and source.file.startswith("/"):
        source = replace(source, file=None)
    return replace(spec, source=source, recorded={})


def _is_of_a_machine(name: str) -> bool:
    return name in _OF_A_MACHINE or name.startswith(_OF_MACHINES)
