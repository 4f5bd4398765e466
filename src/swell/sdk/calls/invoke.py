"""Makes calls: of one input, with its result (`remote`), its items (`remote_gen`) or neither (`spawn`); and spawn_map.

This module must not know how functions are declared.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from swell.errors import ExecutionError, from_wire
from swell.model import CallKind, OutputStatus
from swell.sdk.calls.direct import DirectCall
from swell.sdk.calls.inputs import Arguments, Source
from swell.sdk.calls.outcome import InputFailure, outcome, outcomes
from swell.sdk.calls.target import CallTarget
from swell.sdk.calls.tracing import current_trace
from swell.sdk.calls.upload import Upload, open_inputs, store
from swell.sdk.connection.client import mint_call_id
from swell.sdk.connection.link import Link, Received
from swell.wire import blobs
from swell.wire.blob_names import input_name
from swell.wire.leases import CallAnswer
from swell.wire.messages import Accepted, Items, OpenCall, Outputs, Refused, TakeItems
from swell.wire.payload import loads

__all__ = ["remote", "remote_items", "spawn", "spawn_many"]

#: A generator's items are acknowledged to the container after so many of them, or so many bytes.
ITEMS_PER_ACK, BYTES_PER_ACK = 256, 1 << 20
SPAWN_AHEAD = 8_192  #: inputs that are sent and not yet accepted by the server


async def _open(
    link: Link,
    target: CallTarget,
    kind: CallKind,
    args: Arguments,
    kwargs: dict[str, Any],
    *,
    call_id: str,
    resent: bool = False,
) -> None:
    await _open_with(link, target, kind, _pickled(link, args, kwargs), call_id=call_id, resent=resent)


def _pickled(link: Link, args: Arguments, kwargs: dict[str, Any]) -> bytes | list[memoryview]:
    """Return arguments for a message, or the parts of a blob."""
    return blobs.pickled((args, kwargs), link.welcome.payload_inline_max)


async def _open_with(
    link: Link,
    target: CallTarget,
    kind: CallKind,
    data: bytes | list[memoryview],
    *,
    call_id: str,
    resent: bool = False,
    wants_lease: bool = False,
) -> None:
    is_blob = not isinstance(data, bytes)
    if not isinstance(data, bytes):
        name = input_name(call_id, 0, is_kept=kind.is_async)
        data = await store(link, data, name)
    message = OpenCall(
        call_id=call_id,
        function_id=target.function_id,
        method=target.method,
        kind=kind,
        ends=[len(data)],
        sealed=True,
        blobs=[0] if is_blob else [],
        parent=target.parent(),
        resent=resent,
        trace=current_trace(),
        wants_lease=wants_lease,
    )
    link.send(message, data)


async def remote(link: Link, target: CallTarget, args: Arguments, kwargs: dict[str, Any]) -> Any:
    """Run one input and return its result, or raise its exception: on a lease, if there is one, or by the server."""
    call_id = mint_call_id()
    data = _pickled(link, args, kwargs)
    leases = link.leases
    received: Received | None = None
    is_known = False
    if leases is not None and isinstance(data, bytes) and (lease := await leases.take(target.function_id)) is not None:
        call = DirectCall(link, leases, lease, target=target, call_id=call_id, data=data)
        received = await call.run()
        is_known = call.is_announced
    if received is None:
        received = await _remote_by_server(link, target, data, call_id, is_known=is_known)
    message, payload = received
    if isinstance(message, CallAnswer):
        value = await outcome(message, payload, link)
    elif isinstance(message, Outputs):
        value = (await outcomes(message, payload, link, keep_blobs=False))[0]
    else:
        raise _refusal(message)
    if type(value) is InputFailure:
        raise value.exception
    return value


async def _remote_by_server(
    link: Link, target: CallTarget, data: bytes | list[memoryview], call_id: str, *, is_known: bool
) -> Received:
    leases, kind = link.leases, CallKind.REMOTE
    wants_lease = leases is not None and isinstance(data, bytes) and leases.wants(target.function_id)
    mailbox = link.open(call_id)
    finished = False
    try:
        await _open_with(link, target, kind, data, call_id=call_id, resent=is_known, wants_lease=wants_lease)
        received = await link.receive(mailbox)
        finished = True
        if wants_lease:
            link.poll()
    finally:
        link.close(mailbox)
        if not finished:
            link.abandon(call_id)
        if leases is not None:
            leases.called(target.function_id, asked=wants_lease)
    return received


async def remote_items(
    link: Link, target: CallTarget, args: Arguments, kwargs: dict[str, Any]
) -> AsyncGenerator[list[Any], None]:
    """Run one input of a generator function; yield its items in lists, as they arrive."""
    call_id = mint_call_id()
    mailbox = link.open(call_id)
    taken = acknowledged = unacknowledged_bytes = 0
    finished = False
    try:
        await _open(link, target, CallKind.REMOTE, args, kwargs, call_id=call_id)
        while True:
            message, payload = await link.receive(mailbox)
            if isinstance(message, Items):
                items = _items(message, payload)
                yield items
                taken += len(items)
                unacknowledged_bytes += len(payload)
                if taken - acknowledged >= ITEMS_PER_ACK or unacknowledged_bytes >= BYTES_PER_ACK:
                    acknowledged, unacknowledged_bytes = taken, 0
                    link.send(TakeItems(call_id, 0, taken))
                continue
            finished = True
            if not isinstance(message, Outputs):
                raise _refusal(message)
            if message.failures and message.failures[0][1] == OutputStatus.GENERATOR_DONE:
                return
            value = (await outcomes(message, payload, link, keep_blobs=False))[0]
            if type(value) is InputFailure:
                raise value.exception
            raise ExecutionError(f"{target.name} was called as a generator but returned {type(value).__name__}")
    finally:
        link.close(mailbox)
        if not finished:
            link.abandon(call_id)


def _items(message: Items, payload: bytes) -> list[Any]:
    return [loads(data) for data in message.items(payload).pieces()]


async def spawn(
    link: Link, target: CallTarget, args: Arguments, kwargs: dict[str, Any], call_id: str, *, resent: bool
) -> None:
    """Spawn one input; return when the server has accepted it. `resent`: the server may have the call already."""
    mailbox = link.open(call_id)
    try:
        await _open(link, target, CallKind.SPAWN, args, kwargs, call_id=call_id, resent=resent)
        message, _ = await link.receive(mailbox)
    finally:
        link.close(mailbox)
    if not isinstance(message, Accepted):
        raise _refusal(message)


async def spawn_many(link: Link, target: CallTarget, source: Source, kwargs: dict[str, Any]) -> tuple[str, int]:
    """Spawn many inputs as one call; return its id and their number when the server has accepted all."""
    call_id = mint_call_id()
    mailbox = link.open(call_id)
    inputs = open_inputs(link, mailbox, source)
    upload = Upload(link=link, target=target, kind=CallKind.SPAWN, inputs=inputs, kwargs=kwargs, call_id=call_id)
    accepted = 0
    try:
        while not (upload.exhausted and upload.complete and accepted == upload.sent):
            while await upload.push(SPAWN_AHEAD, accepted):
                link.poll()
                if mailbox.messages:
                    break
            upload.seal()
            if upload.exhausted and upload.complete and accepted == upload.sent:
                break
            await link.changed(mailbox, upload.retry_at)
            while mailbox.messages:
                message, _ = mailbox.messages.popleft()
                if isinstance(message, Refused):
                    upload.refused(message, accepted)
                elif isinstance(message, Accepted):
                    accepted = max(accepted, message.upto)
                    upload.confirm(accepted)
    except BaseException:
        link.abandon(call_id)
        raise
    finally:
        inputs.close()
        link.close(mailbox)
    return call_id, accepted


def _refusal(message: object) -> Exception:
    if isinstance(message, Refused):
        return from_wire(message.code, message.text, message.fields)
    return ExecutionError(f"the server answered a call with {type(message).__name__}")
