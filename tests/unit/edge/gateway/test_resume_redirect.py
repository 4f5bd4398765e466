"""How clients that wait long find back."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.edge.gateway.resume_redirect import resume_url, split_resume_key


@pytest.mark.parametrize(
    ("target", "redirect"),
    [
        (b"/a", b"/a?__swell_call=k"),
        (b"/a?", b"/a?&__swell_call=k"),
        (b"/a?b=1&c", b"/a?b=1&c&__swell_call=k"),
        (b"/a?b=1&__swell_call=old", b"/a?b=1&__swell_call=k"),
        (b"/a?b=what?&c=%26", b"/a?b=what?&c=%26&__swell_call=k"),
    ],
)
def test_the_redirect_goes_to_the_same_url(target: bytes, redirect: bytes) -> None:
    assert resume_url(target, "k") == redirect


def test_only_the_parameter_of_that_name_is_ours() -> None:
    for target in (b"/__swell_call=x", b"/a?b=__swell_call", b"/a?not__swell_call=x", b"/a?__swell_call2=x"):
        assert split_resume_key(target) == (target, "")


def test_the_app_does_not_see_it_wherever_it_stands() -> None:
    assert split_resume_key(b"/a?__swell_call=x&b=1") == (b"/a?b=1", "x")
    assert split_resume_key(b"/a?__swell_call=x") == (b"/a", "x")


@given(
    st.lists(st.sampled_from(["a", "b=1", "c=%20", "d=?", "__swell", "=", "e=__swell_call"]), max_size=5),
    st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True),
)
def test_there_and_back_is_the_same(parts: list[str], key: str) -> None:
    target = b"/path" + ("?" + "&".join(parts) if parts else "").encode()
    assert split_resume_key(resume_url(target, key)) == (target, key)


@pytest.mark.parametrize(
    "path",
    [
        b"//there/path",
        b"///there",
        b"//there//x",
        b"/\\there/path",
        b"\\\\there",
        b"/\t/there",
        b"/.//there",
        b"/%2F/there",
        b"//user@there:80/x?y=//z",
        b"/\r\nSet-Cookie: a=b",
        b"/there#x",
        b"/there?a=1#x",
        b"/ \x00\xff",
    ],
)
def test_no_path_leads_to_another_host(path: bytes) -> None:
    redirect = resume_url(path, "k").decode("ascii")
    assert redirect.isprintable()
    assert " " not in redirect
    assert not redirect.startswith(("//", "/\\", "\\"))
    for base in ("http://here:1/label/x", "http://here:1//there/x"):
        assert urljoin(base, redirect).startswith("http://here:1/")
        assert split_resume_key(urljoin(base, redirect).encode())[1] == "k"


@given(st.binary(max_size=30))
def test_a_redirect_stays_where_it_is(path: bytes) -> None:
    redirect = resume_url(b"/" + path.replace(b"?", b""), "k").decode("ascii")
    assert urlsplit(redirect).netloc == urlsplit(redirect).scheme == ""
    assert urlsplit(urljoin("http://here/x", redirect)).netloc == "here"
