"""The variants that a simulated program has bound: their ids, which stay good, and the settings that it was told.

This module must not know the engine; it sees only what a program sees.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from swell.model import AutoscalerChange, AutoscalerSettings
from swell.wire import messages as m
from swell.wire.variant import parameter_changes

__all__ = ["Bindings"]

FIRST_REQUEST = 1_000

Say = Callable[[m.Message, bytes], None]


class Bindings:
    """What one program knows of variants, over all its connections.

    Args:
        send: Sends a message to the server; without a connection, it is lost.
    """

    def __init__(self, send: Say) -> None:
        self._send = send
        self._requests = count(FIRST_REQUEST)
        self._ids: dict[tuple[str, bytes], str] = {}  # by function and parameters
        self._binding: dict[int, tuple[str, bytes]] = {}
        self._then: dict[tuple[str, bytes], list[Callable[[str], None]]] = {}
        self._asked: dict[int, tuple[str, AutoscalerChange, int]] = {}  # variant, change, age
        self._told: dict[str, AutoscalerSettings] = {}  # override by variant
        self._age = 0  # how often settings were dropped

    # ------------------------------------------------------------ doing

    def use(self, function_id: str, parameters: bytes, then: Callable[[str], None]) -> None:
        """Do something with the id of a variant, which is asked for once."""
        key = (function_id, parameters)
        known = self._ids.get(key)
        if known is not None:
            then(known)
            return
        self._then.setdefault(key, []).append(then)
        if key not in self._binding.values():
            self._bind(key)

    def _bind(self, key: tuple[str, bytes]) -> None:
        request = next(self._requests)
        self._binding[request] = key
        self._send(m.BindFunction(request, key[0], parameter_changes(key[1])), b"")

    def tune(self, function_id: str, parameters: bytes, change: AutoscalerChange) -> None:
        """Change settings of a variant; with an empty change, look whether they are as they were told."""
        self.use(function_id, parameters, lambda variant: self._tune(variant, change))

    def _tune(self, variant: str, change: AutoscalerChange) -> None:
        request = next(self._requests)
        self._asked[request] = (variant, change, self._age)
        self._send(m.UpdateAutoscaler(request, variant, change), b"")

    def settings_dropped(self) -> None:
        """A deploy is on its way: settings of run time end with it."""
        self._age += 1
        self._told.clear()

    # ------------------------------------------------------------ connections

    def connected(self) -> None:
        """Ask again for what was not answered."""
        self._binding.clear()
        for key in self._then:
            self._bind(key)

    def disconnected(self) -> None:
        """The server is gone: whether it received the requests that it has not answered is unknown."""
        for variant, change, _ in self._asked.values():
            if change != AutoscalerChange():
                self._told.pop(variant, None)
        self._asked.clear()

    # ------------------------------------------------------------ hearing

    def received(self, message: m.Message) -> bool:
        """Take in an answer; False if it is not one to a question of here."""
        match message:
            case m.Bound() if message.request in self._binding:
                self._bound(message)
            case m.AutoscalerState() if message.request in self._asked:
                self._settings(message)
            case m.Failed() if message.request in self._asked:  # the settings would contradict each other
                del self._asked[message.request]
            case m.Failed() if message.request in self._binding:
                del self._then[self._binding.pop(message.request)]
            case _:
                return False
        return True

    def _bound(self, message: m.Bound) -> None:
        key = self._binding.pop(message.request)
        known = self._ids.setdefault(key, message.function_id)
        assert known == message.function_id, f"{key} has another id now: {known}, {message.function_id}"
        for then in self._then.pop(key, []):
            then(known)

    def _settings(self, message: m.AutoscalerState) -> None:
        variant, change, age = self._asked.pop(message.request)
        if age != self._age:
            return
        known = self._told.get(variant)
        if change == AutoscalerChange() and known is not None:
            assert message.override == known, f"{variant}: told {known}, and now it has {message.override}"
        self._told[variant] = message.override
