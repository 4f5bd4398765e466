"""Notices: messages to the user that come with an answer; shown where output is enabled, else as Python warnings.

This module must not know what was requested.
"""

from __future__ import annotations

import warnings

from swell.errors import ServerWarning
from swell.escaping import many_lines
from swell.sdk.connection.link import Link
from swell.sdk.connection.output import current_output
from swell.wire.messages import Notice

__all__ = ["show_notices"]


def show_notices(link: Link) -> None:
    """Show the notices that came before the last answer."""
    output, messages = current_output(), link.unsolicited.messages
    while messages:
        message, _ = messages.popleft()
        if not isinstance(message, Notice):
            continue
        if output is not None:
            output.notice(message.text)
        else:
            warnings.warn(many_lines(message.text), ServerWarning, stacklevel=2)
