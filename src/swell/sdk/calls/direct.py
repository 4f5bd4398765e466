"""Makes a call on a lease: straight to a container, and with the server's help where that does not suffice.

What takes long, fails and is to be tried again, or is cut off, is announced to the server, which has the last word from
then on. This module must not know when a call has a lease.
"""

from __future__ import annotations

from typing import Any, Final

from swell.errors import InternalFailure
from swell.model import OutputStatus
from swell.sdk.calls.target import CallTarget
from swell.sdk.calls.tracing import current_trace
from swell.sdk.connection.lease import Answer, Lease, LeaseLost
from swell.sdk.connection.lease_pool import LeasePool
from swell.sdk.connection.link import Link, Mailbox, Received
from swell.wire.leases import NOT_BEGUN, Announce, CallDirectly, DirectAnswered

__all__ = ["DirectCall"]

SUCCESS: Final = int(OutputStatus.SUCCESS)
FAILURE: Final = int(OutputStatus.FAILURE)
LONG_S: Final = 0.02  #: a call that takes so long is no case for a lease; one that is announced may have been delayed


class DirectCall:
    """One call on a lease that was taken; `run` gives the lease back.

    Attributes:
        call_id: Its id.
        is_announced: The server knows of the call.
    """

    def __init__(
        self, link: Link, leases: LeasePool[Any], lease: Lease, *, target: CallTarget, call_id: str, data: bytes
    ) -> None:
        """Prepare.

        Args:
            link: to the server.
            leases: where the lease was taken.
            lease: the one that was.
            target: of the call.
            call_id: its id.
            data: its arguments.
        """
        self.call_id = call_id
        self.is_announced = False
        self._link = link
        self._leases = leases
        self._lease = lease
        self._target = target
        self._data = data
        self._message = CallDirectly(call_id, target.method, target.parent(), current_trace())
        self._mailbox: Mailbox | None = None

    async def run(self) -> Received | None:
        """Return the container's answer or what the server has sent; None if the call was not begun, and will not be.

        Raises:
            Error: the server is gone.
        """
        is_over = False
        try:
            received = await self._ask_server() if await self._ask_container() else self._answer
            is_over = True
        finally:
            if self._mailbox is not None:
                self._link.close(self._mailbox)
                if not is_over:
                    self._link.abandon(self.call_id)
        return received

    # ------------------------------------------------------------ the container

    async def _ask_container(self) -> bool:
        """Send the call and wait for its answer; return whether it is for the server to say how it ends."""
        lease, is_long, may_stay = self._lease, False, False
        self._answer: Answer | None = None
        try:
            if not await lease.send(self._message, self._data):
                return False
            answer = await lease.answer()
            if answer is None:
                is_long = True
                self._leases.takes_long(lease)
                self._announce()
                assert self._mailbox is not None
                answer = await lease.answer_or(self._link, self._mailbox)
                if answer is None:
                    return True
            may_stay = lease.waited_s < LONG_S
            return self._judge(answer)
        except LeaseLost:
            self._announce(is_lost=True)
            return True
        except BaseException:
            if not lease.closes and not self.is_announced and self._link.broken is None:
                self._announce()  # for `run` to cancel it: the container does not notice that nobody waits
            raise
        finally:
            if may_stay and not lease.is_over:
                self._leases.give_back(lease, took_long=is_long)
            else:
                self._leases.end(lease, took_long=is_long)

    def _judge(self, answer: Answer) -> bool:
        """Take the answer; return whether the server has the last word."""
        message, _ = answer
        if message.call_id != self.call_id:
            self._lease.drop()
            raise InternalFailure(f"a container answered {message.call_id}, and was sent {self.call_id}")
        status = message.status
        if status == NOT_BEGUN:
            self._lease.drop()
            return False
        if status == SUCCESS or (status == FAILURE and not self._lease.grant.is_retried):
            self._answer = answer
            if self.is_announced:
                self._link.send(DirectAnswered(message.call_id, status))
            return False
        if status == FAILURE:
            self._announce(failed=True)
        else:  # the server has had it cancelled, and knows why
            self._lease.drop()
            if not self.is_announced:
                self._announce()
        return True

    # ------------------------------------------------------------ the server

    def _announce(self, *, failed: bool = False, is_lost: bool = False) -> None:
        link, message, grant = self._link, self._message, self._lease.grant
        if self._mailbox is None:
            self._mailbox = link.open(message.call_id)
        announcement = Announce(
            call_id=message.call_id,
            lease=grant.lease,
            function_id=grant.function_id,
            method=message.method,
            age_s=self._lease.waited_s,
            parent=message.parent,
            trace=message.trace,
            failed=failed,
            is_lost=is_lost,
        )
        link.send(announcement, self._data)
        self.is_announced = True

    async def _ask_server(self) -> Received:
        assert self._mailbox is not None
        return await self._link.receive(self._mailbox)
