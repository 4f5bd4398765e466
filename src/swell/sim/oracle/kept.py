"""What the oracle knows of the store: results and ends of spawned calls, and the blobs that are deleted.

This module must not know containers.
"""

from __future__ import annotations

from collections.abc import Iterable

from swell.model import CallKind, OutputStatus
from swell.records import CallEnded, LoadedCall, OutputsRecord, Record, StoredCall, Window
from swell.sim.oracle.accounts import CallAccount
from swell.sim.oracle.ledger import Ledger
from swell.sim.store import DurableStore
from swell.states import InputState, is_final

__all__ = ["Kept"]

EVERYTHING = Window(1 << 60, 1 << 60)


class Kept:
    """What is recorded of the calls of a ledger, and what a killed server leaves to the next one."""

    def __init__(self, ledger: Ledger) -> None:
        self.unread: set[str] = set()  #: calls of a killed server that the next one has not read, and so cannot end
        self._ledger = ledger
        self._recorded: set[tuple[str, int]] = set()
        self._finished: set[str] = set()
        self._dropped: set[tuple[str, int]] = set()

    # ------------------------------------------------------------ while a server lives

    def recorded(self, record: Record) -> None:
        """Something is written to the store."""
        match record:
            case OutputsRecord():
                call = self._ledger.calls[record.call_id]
                assert call.kind is CallKind.SPAWN, f"{call.id}: recorded, but nobody will ask for it"
                failures = dict(record.failures)
                for position in range(record.count):
                    index = record.first + position
                    if index in call.kept and not record.ends:
                        continue  # all that wait in the store are ended alike, and it knows which of them do not wait
                    assert (call.id, index) not in self._recorded, f"{call.id}/{index}: recorded twice"
                    self._recorded.add((call.id, index))
                    status = OutputStatus(failures.get(position if record.ends else 0, 1))
                    self._ledger.end(call, index, status)
            case CallEnded():
                call = self._ledger.calls[record.call_id]
                assert call.id not in self._finished, f"{call.id}: finished twice"
                assert call.ended == len(call.inputs) == record.num_inputs, f"{call.id}: finished before all has ended"
                self._finished.add(call.id)
            case _:
                pass

    def dropped(self, inputs: Iterable[tuple[str, int]]) -> None:
        """The blobs of inputs are deleted."""
        for call_id, index in inputs:
            account = self._ledger.calls[call_id].inputs[index]
            assert is_final(account.state), f"{call_id}/{index}: its blob is dropped before its end"
            assert (call_id, index) not in self._dropped, f"{call_id}/{index}: its blob is dropped twice"
            self._dropped.add((call_id, index))

    def tidied(self, inputs: Iterable[tuple[str, int]]) -> None:
        """Blobs of inputs, (call id, index), are deleted though the engine did not ask for it: when a server starts."""
        self._dropped.update(inputs)

    # ------------------------------------------------------------ the server's end

    def server_killed(self, store: DurableStore, lasting: set[str]) -> None:
        """Keep what is committed, and nothing else; `lasting` are the functions of durable apps."""
        self.unread.clear()
        for call_id, call in list(self._ledger.calls.items()):
            if call.function_id in lasting and call.kind is CallKind.SPAWN:
                found: LoadedCall | StoredCall | None = store.now("load_call", call_id, EVERYTHING)
            else:
                found = None
            if found is None:
                del self._ledger.calls[call_id]
                self._finished.discard(call_id)
                self._recorded = {each for each in self._recorded if each[0] != call_id}
                self._dropped = {each for each in self._dropped if each[0] != call_id}
            elif isinstance(found, LoadedCall):
                self._resume(call, found)
            else:
                self._finished.add(call_id)
                self.tidied((call_id, index) for index in range(len(call.inputs)))

    def _resume(self, call: CallAccount, found: LoadedCall) -> None:
        attempts = {attempt.index: attempt for attempt in found.attempts}
        ended = {index for first, count in found.spans.done for index in range(first, first + count)}
        call.inputs = call.inputs[: found.call.accepted]
        call.doomed, call.is_sealed = False, True
        self.unread.add(call.id)
        call.returned = set(range(found.call.accepted)) - ended
        call.kept = ended
        call.frontier, call.ended = found.call.accepted, len(ended)
        self._finished.discard(call.id)
        self._recorded -= {(call.id, index) for index in call.returned}
        self._dropped -= {(call.id, index) for index in call.returned}
        self.tidied((call.id, index) for index in ended)
        for index in call.returned:
            account, attempt = call.inputs[index], attempts.get(index)
            account.state, account.answer, account.began_at = InputState.PENDING, None, None
            account.failures = attempt.failures if attempt is not None else 0
            account.crashes = attempt.crashes if attempt is not None else 0
            account.not_before = attempt.not_before if attempt is not None else 0.0

    # ------------------------------------------------------------ what is left in the end

    def unrecorded(self) -> list[str]:
        """Return the spawned calls whose end the store was not told; of an `unread` one it cannot be told yet."""
        return [
            call.id
            for call in self._ledger.calls.values()
            if call.kind is CallKind.SPAWN and (call.is_sealed or call.doomed) and call.id not in self._finished
        ]

    def left_blobs(self) -> list[str]:
        """Return the inputs that have ended and whose blobs are still there."""
        return [
            f"{call.id}/{index}"
            for call in self._ledger.calls.values()
            for index in range(len(call.inputs))
            if call.works[index].is_blob and (call.id, index) not in self._dropped
        ]
