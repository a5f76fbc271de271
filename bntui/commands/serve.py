"""Serves the screen to browsers, through textual-serve: each visitor gets a process of their own."""

from __future__ import annotations

import errno
import ipaddress
import logging
import re
import shlex
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bntui.errors import UsageError
from bntui.text.language import _, spoken
from bntui.text.library_messages import reason
from bntui.text.output import say

if TYPE_CHECKING:
    from aiohttp import web

PACKAGE: Final = "textual-serve"
EXTRA: Final = "'bntui[serve]'"
ENTRY: Final = "bntui.commands.served"
"""The module that a visitor's process runs."""
_FOREIGN_FONT: Final = re.compile(r"<link[^>]*\bhref=\"https?://fonts\.[^>]*>")
"""Without a network, the page would wait for it; with one, a stranger would know of each visit."""
LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def serve(target: Path, host: str, port: int, *, allow_training: bool, theme: str | None) -> None:
    """Serve a recording, the recordings of a folder, or a sweep, until the user presses ctrl+c.

    Raises:
        UsageError: textual-serve is not installed, or the port is taken.
        BntuiError: nothing can be shown.
    """
    try:
        from textual_serve.server import Server
    except ImportError as error:
        sentence = _("bntui serve needs {package}, which is not installed; install it with: pip install {extra}")
        raise UsageError(sentence.format(package=PACKAGE, extra=EXTRA)) from error
    from bntui.commands.visitors import attend

    _refuse_unreadable(target)
    _refuse_taken(host, port)

    class Served(Server):  # type: ignore[misc]  # its base is known only where it is installed
        """The server, which answers its own pages only, and says in one line what it serves."""

        async def on_startup(self, app: web.Application) -> None:  # noqa: ARG002
            say(_("Serving {target} on {address} — ctrl+c ends it").format(target=target, address=self.public_url))

        async def handle_index(self, request: web.Request) -> Any:
            """The page, which connects to the address by which it was asked for, and asks nobody else for a font."""
            self.public_url = f"{request.scheme}://{request.host}"
            page = await super().handle_index(request)
            page.text = _FOREIGN_FONT.sub("", page.text)
            return page

        def initialize_logging(self) -> None:
            """Say nothing of each request, and of what is no request, such as https:// sent to this port."""
            logging.getLogger("aiohttp.server").addFilter(lambda record: not _of_no_request(record))

        async def handle_websocket(self, request: web.Request) -> Any:
            """Refuse pages of other sites, which a browser would let connect to this machine."""
            from aiohttp import web

            if not same_site(request.headers.get("Origin"), request.headers.get("Host"), host):
                raise web.HTTPForbidden(text="this page is not served by bntui")
            return await attend(request, self.command, self.download_manager)

    if not is_local(host):
        warning = _("anyone who reaches {host}:{port} can see this recording: it has no password")
        say(warning.format(host=host, port=port), sys.stderr)
    if allow_training:
        say(_("visitors can train, fork, rename, and delete"), sys.stderr)
    Served(command(target, allow_training=allow_training, theme=theme), host=host, port=port, title="bntui").serve()


def _of_no_request(record: logging.LogRecord) -> bool:
    """True for the traceback with which aiohttp reports bytes that it has answered with an error."""
    from aiohttp.http_exceptions import HttpProcessingError

    return record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError)


def command(target: Path, *, allow_training: bool, theme: str | None) -> str:
    """The command of a visitor's process, for a shell, which it replaces: to kill one is to kill the other."""
    options: Sequence[str] = [
        *(["--allow-training"] if allow_training else []),
        *([f"--theme={theme}"] if theme else []),
        f"--lang={spoken()}",
    ]
    return "exec " + shlex.join([sys.executable, "-m", ENTRY, *options, "--", str(target.resolve())])


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL


def same_site(origin: str | None, asked: str | None, host: str) -> bool:
    """Whether a connection comes from a page of this server, asked for by a name that it may have.

    A browser always names the page's origin.  On a loopback address, a name that leads to it from elsewhere is refused.
    """
    if origin is None or asked is None or urlsplit(origin).netloc != asked:
        return False
    return not is_local(host) or urlsplit(f"//{asked}").hostname in LOCAL


def _refuse_unreadable(target: Path) -> None:
    """Report what cannot be shown before a visitor comes.

    Raises:
        RecordingError: it is not a recording.
        UsageError: the folder has no recording.
    """
    if target.is_dir():
        from bntui.link.library import recordings

        if not is_sweep(target) and not recordings(target):
            raise UsageError(_("{path}: no recording in this folder").format(path=target))
        return
    from bntui.recording.recorded import opened

    opened(target).close()


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    from bntui.study import journal

    return (folder / journal.NAME).is_file()


def _refuse_taken(host: str, port: int) -> None:
    """Check that the port is free.

    Raises:
        UsageError: it is not, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        sentence = _("cannot serve on {host}:{port}: {reason}; choose another one with {option}")
        of_host = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        option = "--host" if of_host else "--port"
        raise UsageError(sentence.format(host=host, port=port, reason=why, option=option)) from error
