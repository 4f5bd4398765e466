"""What of an environment and of a spec holds on another machine."""

from __future__ import annotations

from swell.model import Environment, FunctionSpec, Source
from swell.policy.portable import portable_environment, portable_spec

HERE = Environment(
    "/people/ann/venv/bin/python",
    "/people/ann/work",
    ("/people/ann/venv/lib/python3.11/site-packages",),
    {
        "HOME": "/people/ann",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": "/people/ann/lib",
        "MODEL": "small",
        "PATH": "/people/ann/bin:/usr/bin",
        "PYTHONPATH": "/people/ann/lib",
        "PYTHONUNBUFFERED": "1",
        "SWELL_DATA_DIR": "/people/ann/data",
        "SWELL_FRAME_MAX": "1000000",
        "TMPDIR": "/people/ann/tmp",
        "VIRTUAL_ENV": "/people/ann/venv",
        "XDG_CACHE_HOME": "/people/ann/.cache",
    },
    bundle="d",
    bundle_dir="/people/ann/copies",
    argv=(b"job.py", b"--fast"),
    raw_variables=((b"LD_\xff", b"/people/ann/lib"), (b"ODD", b"\xff")),
)


def test_no_path_of_the_machine_is_left_and_variables_that_users_set_are() -> None:
    portable = portable_environment(HERE, "e")
    assert "ann" not in repr(portable)
    assert (portable.python, portable.cwd, portable.sys_path, portable.bundle_dir) == ("", "", (), "")
    assert portable.bundle == "e"
    kept = {"LANG": "C.UTF-8", "MODEL": "small", "SWELL_FRAME_MAX": "1000000", "PYTHONPATH": ""}
    assert portable.variables == kept
    assert portable.raw_variables == ((b"ODD", b"\xff"),)
    assert portable.argv == (b"job.py", b"--fast")


def test_what_is_installed_is_imported_by_its_name() -> None:
    source = Source("job", "work", "/people/ann/venv/lib/python3.11/site-packages/job.py")
    spec = FunctionSpec("work", source, recorded={"image": [["add_local_dir", ["/people/ann/x", "x"], {}]]})
    assert portable_spec(spec) == FunctionSpec("work", Source("job", "work"))


def test_what_is_in_the_bundle_is_found_there_and_variables_of_images_and_secrets_are_kept() -> None:
    spec = FunctionSpec("work", Source("job", "work", "job.py"), variables={"HOME": "/data"}, workdir="/data")
    assert portable_spec(spec) == spec
