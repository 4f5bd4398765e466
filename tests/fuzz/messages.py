"""Makes HTTP messages from a seed: most of them right, many of them almost right, some of them wrong.

What is odd is what has been used to smuggle requests past proxies, or is easily read in two ways.
"""

from __future__ import annotations

import random
from itertools import pairwise

INNOCENT = (
    b"GET /innocent HTTP/1.1\r\nHost: innocent\r\n\r\n"  #: what comes behind; it must be seen as it is, or not at all
)
INNOCENT_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninnocent"

METHODS = [b"GET", b"GET", b"POST", b"POST", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH"]
ODD_METHODS = [b"get", b"FOO", b"M-SEARCH", b"CONNECT", b"PRI", b"", b"GE T", b"P\xd6ST", b"SOURCE", b"GET\x00"]
TARGETS = [b"/a", b"/a/b?c=d", b"/", b"/?x", b"/a%2Fb"]
ODD_TARGETS = [
    b"//there/x",
    b"http://there/x",
    b"http://there:80",
    b"HTTPS://there?q=/1",
    b"http://user@there/x",
    b"http:///x",
    b"http://",
    b"http://a b/",
    b"*",
    b"",
    b"/\\x",
    b"/\xff",
    b"/a b",
    b"/a\tb",
    b"/a\x00",
    b"/#f",
    b"x:80",
    b"ftp://there/",
    b"/" + b"x" * 300,
    b'/{}|^`"<>',
    b"[::1]/",
    b"http://[::1]:80/x",
]
ODD_VERSIONS = [
    b"HTTP/1.0",
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/2.0",
    b"HTTP/1.2",
    b"http/1.1",
    b"HTTP/1.1 ",
    b"HTTP/01.1",
]
ODD_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\x0b\r\n", b""]
SPACES = [b"  ", b"\t", b"", b"\x0c", b" \r\n "]
LENGTHS = [
    b"+%d",
    b"-%d",
    b"0x%x",
    b"%d_0",
    b"%d, %d",
    b"%d,%d",
    b"\xb2%d",
    b"%d ",
    b"\t%d",
    b"000%d",
    b"%d.0",
    b'"%d"',
    b"%d\x00",
    b"99999999999999999%d",
    b"18446744073709551616%d",
    b"9" * 400 + b"%d",
    b"%d;",
    b"",
]
CODINGS = [
    b"Chunked",
    b"chunked ",
    b"\tchunked",
    b"chunked, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"identity",
    b"xchunked",
    b"chunked;q=1",
    b"\x0bchunked",
    b"chunked\x00",
    b"'chunked'",
    b"",
    b"identity, chunked",
]
OFFERS = [
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n",
    b"Connection: Upgrade\r\nUpgrade: TLS/1.0, h2c\r\n",
    b"Upgrade: websocket\r\n",
    b"Connection: upgrade\r\n",
    b"Connection: upgrade, close\r\nUpgrade: h2c\r\n",
]
EXTRAS = [
    b"Accept: */*\r\n",
    b"Cookie: a=1; b=2\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: close\r\n",
    b"Connection: content-length, host\r\n",
    b"X-Swell-Input: fc-forged\r\n",
    b"X_Forwarded_For: 1.2.3.4\r\n",
    b"X-Long: " + b"y" * 200 + b"\r\n",
    b"Empty:\r\n",
    b"Spaces: \t a \t \r\n",
    b"High: \xff\xfe\r\n",
    b"TE: trailers\r\nTrailer: X\r\n",
]
ODD_EXTRAS = [
    b"Folded: a\r\n b\r\n",
    b"Folded: a\r\n\tContent-Length: 3\r\n",
    b" Leading: a\r\n",
    b"Name : a\r\n",
    b"Name\t: a\r\n",
    b"No colon\r\n",
    b": empty\r\n",
    b"N\xe4me: a\r\n",
    b"Bare: a\nLine: b\r\n",
    b"Bare: a\rLine: b\r\n",
    b"Zero: a\x00b\r\n",
    b"Control: a\x01\x7fb\r\n",
    b"Content-Length : 3\r\n",
    b"Content_Length: 3\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding\x00: chunked\r\n",
    b"X: a\r\nTransfer-Encoding:\r\n chunked\r\n",
    b"X: \r\r\n",
    b"Host: other\r\n",
    b"\r\n",
    b"\n",
]
EXTENSIONS = [b";a", b";a=b", b';a="b;c"', b"; a = b", b" ;a=b", b";", b";" + b"e" * 60]
ODD_EXTENSIONS = [b";a=\xff", b";a\x00", b";a\rb", b";a\nb", b'";\r\n"', b" ", b"\t", b";" + b"e" * 3_000, b",a"]
ODD_SIZES = [
    b"0x%x",
    b"+%x",
    b"-%x",
    b" %x",
    b"%x_",
    b"00000%x",
    b"%x%%",
    b"0000000000000000000000%x",
    b"ffffffffffffffff%x",
]
TRAILERS = [b"T: 1\r\n", b"T: 1\r\nU: 2\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
ODD_TRAILERS = [
    b"T: 1\n",
    b" T: 1\r\n",
    b"T : 1\r\n",
    b"T\r\n",
    b"T: 1\r\n folded\r\n",
    b"T: \x00\r\n",
    b": 1\r\n",
    b"T: 1\r",
]


class Maker:
    """Makes messages.

    Args:
        seed: The same seed makes the same messages.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._oddity = self.random.choice([0.0, 0.02, 0.1, 0.3])

    def _odd(self, share: float = 1.0) -> bool:
        return self.random.random() < self._oddity * share

    def _one(self, right: list[bytes], odd: list[bytes]) -> bytes:
        return self.random.choice(odd if self._odd() else right)

    def _end(self) -> bytes:
        return self.random.choice(ODD_ENDS) if self._odd(0.3) else b"\r\n"

    # ------------------------------------------------------------ requests

    def requests(self) -> bytes:
        """Return one to three requests, and the innocent one behind them."""
        made = [self.request() for _ in range(self.random.choice([1, 1, 1, 2, 3]))]
        return self._mutated(b"".join(made)) + INNOCENT

    def request(self) -> bytes:
        """Return one request."""
        method = self._one(METHODS, ODD_METHODS)
        version = self.random.choice(ODD_VERSIONS) if self._odd() else b"HTTP/1.1"
        blank = self.random.choice([b"\r\n", b"\n", b"\r\n\r\n", b"\r", b"\r\n" * 7]) if self._odd() else b""
        spaces = [self.random.choice(SPACES) if self._odd(0.3) else b" " for _ in range(2)]
        target = self._one(TARGETS, ODD_TARGETS)
        hosts = [b"Host: here\r\n"]
        if self._odd():
            hosts = [
                b"",
                b"Host: a\r\nHost: a\r\n",
                b"Host:\r\n",
                b"Host: a b\r\n",
                b"Host: a@b/c\r\n",
                b"host:h:80\r\n",
            ]
        framing, body = self._framed()
        fields = [self.random.choice(hosts), framing, *self._fields()]
        self.random.shuffle(fields)
        line = b"".join((method, spaces[0], target, spaces[1], version, self._end()))
        return b"".join((blank, line, *fields, self._end(), body))

    def _fields(self) -> list[bytes]:
        fields = self.random.sample(EXTRAS, self.random.choice([0, 1, 3]))
        if self.random.random() < 0.3:
            fields.append(self.random.choice(OFFERS))
        if self._odd():
            fields.append(self.random.choice(ODD_EXTRAS))
        return fields

    # ------------------------------------------------------------ answers

    def answers(self) -> bytes:
        """Return an answer, perhaps interim ones before it, and sometimes one that is too many behind it."""
        random = self.random
        made = [b"HTTP/1.1 %b\r\n\r\n" % random.choice([b"100 Continue", b"103 Early Hints\r\nLink: </x>"])]
        made *= random.choice([0, 0, 0, 1, 2])
        made.append(self.answer())
        return self._mutated(b"".join(made)) + (INNOCENT_ANSWER if random.random() < 0.3 else b"")

    def answer(self) -> bytes:
        """Return one answer."""
        version = self.random.choice(ODD_VERSIONS) if self._odd() else b"HTTP/1.1"
        status = self._one(
            [b"200 OK", b"200 OK", b"404 Not Found", b"500 ", b"204 No Content", b"304 Not Modified"],
            [
                b"200",
                b"99 Low",
                b"1000 Many",
                b"101 Switching",
                b"2x0 OK",
                b" 200 OK",
                b"200 \x01",
                b"200 \xff",
                b"600 X",
            ],
        )
        framing, body = self._framed()
        fields = [framing, *self._fields()]
        self.random.shuffle(fields)
        space = self.random.choice(SPACES) if self._odd(0.3) else b" "
        return b"".join((version, space, status, self._end(), *fields, self._end(), body))

    # ------------------------------------------------------------ bodies

    def _framed(self) -> tuple[bytes, bytes]:
        """Return fields that announce a body, and the body."""
        random = self.random
        content = random.choice([b"", b"hello", b"x" * 40, INNOCENT, b"0\r\n\r\n", b"a\r\nb", bytes(range(256))])
        kind = random.choice(
            ["none", "length", "length", "chunked", "chunked", "both"] if self._odd() else ["n", "l", "c"]
        )
        if kind[0] == "n":
            return b"", b""
        length, coding = self._length(len(content)), self._coding()
        if kind[0] == "l":
            return length, content
        if kind[0] == "c":
            return coding, self._chunked(content)
        return random.choice([length + coding, coding + length]), random.choice([content, self._chunked(content)])

    def _length(self, size: int) -> bytes:
        if not self._odd():
            return self.random.choice([b"Content-Length: %d\r\n", b"content-length:%d\r\n"]) % size
        form = self.random.choice(LENGTHS)
        line = b"Content-Length: " + form.replace(b"%d", b"%d" % size).replace(b"%x", b"%x" % size) + b"\r\n"
        return self.random.choice([line, line, b"Content-Length: %d\r\n" % size * 2, line * 2])

    def _coding(self) -> bytes:
        if not self._odd():
            return b"Transfer-Encoding: chunked\r\n"
        line = b"Transfer-Encoding: " + self.random.choice(CODINGS) + b"\r\n"
        return self.random.choice([line, line, line + b"Transfer-Encoding: chunked\r\n"])

    def _chunked(self, content: bytes) -> bytes:
        made: list[bytes] = []
        while content:
            size = self.random.randint(1, len(content))
            part, content = content[:size], content[size:]
            if self._odd(0.3):
                size += self.random.choice([-1, 1])
            made.append(self._size(size) + part + self._end())
        trailer = self._one(TRAILERS, ODD_TRAILERS) if self.random.random() < 0.2 else b""
        return b"".join((*made, self._size(0), trailer, self._end()))

    def _size(self, size: int) -> bytes:
        form = self.random.choice(ODD_SIZES) if self._odd(0.3) else self.random.choice([b"%x", b"%X", b"00%x"])
        extension = self._one([b"", b"", b"", *EXTENSIONS], ODD_EXTENSIONS)
        return form % size + extension + self._end()

    # ------------------------------------------------------------ bytes

    def _mutated(self, data: bytes) -> bytes:
        """Return the data, sometimes with some bytes changed, doubled or left out."""
        changed = bytearray(data)
        while changed and self._odd(0.5):
            at = self.random.randrange(len(changed))
            match self.random.randrange(4):
                case 0:
                    changed[at] = self.random.choice(b"\r\n\x00 \t:;,/0159aA\x80\xff")
                case 1:
                    del changed[at : at + self.random.choice([1, 1, 2, 20])]
                case 2:
                    changed[at:at] = changed[at : at + self.random.choice([1, 2, 20])]
                case _:
                    changed[at:at] = self.random.choice([b"\r\n", b"\n", b"\r", b" ", b"\x00", b"\r\n\r\n"])
        return bytes(changed)

    def cut(self, data: bytes) -> list[bytes]:
        """Return the data in pieces: as one, cut at some places, or byte by byte."""
        match self.random.randrange(4):
            case 0:
                return [data]
            case 1:
                return [data[at : at + 1] for at in range(len(data))]
            case _:
                places = {self.random.randrange(len(data) + 1) for _ in range(self.random.randint(1, 12))}
                return [data[begin:end] for begin, end in pairwise(sorted({0, *places, len(data)})) if end > begin]
