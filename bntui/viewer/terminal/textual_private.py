"""Wraps and declares the parts of Textual's private API that bntui uses; other modules use only public names.

``NEEDED`` lists every private name used here, with its expected signature or type.  ``python -m tools.textual_api``
compares the list with this file and with the installed Textual, and tests do so with the oldest and newest versions
allowed.
"""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._context import visible_screen_stack
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen, ScreenResultType
from textual.strip import Strip

if TYPE_CHECKING:
    from rich.console import RenderableType
    from textual.driver import Driver
    from textual.notifications import Notification

ReturnType = TypeVar("ReturnType")


class Needed(NamedTuple):
    """A name in Textual that is not part of its documented API."""

    owner: str
    """Full name of the module or class."""
    name: str
    what: str
    """Parameters of a function; ``class`` and parameters; or the type of an attribute or constant."""


NEEDED: Final = (
    Needed("textual._ansi_sequences", "SYNC_START", "str"),
    Needed("textual._ansi_sequences", "SYNC_END", "str"),
    Needed("textual._compositor", "CompositorUpdate", "class ()"),
    Needed("textual._compositor", "LayoutUpdate", "class (strips, region)"),
    Needed("textual._compositor", "ChopsUpdate", "class (chops, spans, chop_ends)"),
    Needed("textual._compositor.Compositor", "render_strips", "(self, size)"),
    Needed("textual._context", "visible_screen_stack", "ContextVar"),
    Needed("textual._parser", "ParseError", "class ()"),
    Needed("textual._parser.Parser", "feed", "(self, data)"),
    Needed("textual._parser.Parser", "tick", "(self)"),
    Needed("textual._xterm_parser", "XTermParser", "class (debug)"),
    Needed("textual._xterm_parser.XTermParser", "_timeout_time", "None"),
    Needed("textual.app.App", "_batch_count", "int"),
    Needed("textual.app.App", "_close_messages_no_wait", "(self)"),
    Needed("textual.app.App", "_closed", "bool"),
    Needed("textual.app.App", "_display", "(self, screen, renderable)"),
    Needed("textual.app.App", "_driver", "None"),
    Needed("textual.app.App", "_exit", "bool"),
    Needed("textual.app.App", "_fatal_error", "(self)"),
    Needed("textual.app.App", "_handle_exception", "(self, error)"),
    Needed("textual.app.App", "_notifications", "Notifications"),
    Needed("textual.app.App", "_return_value", "None"),
    Needed("textual.app.App", "_running", "bool"),
    Needed("textual.app.App", "_sync_available", "bool"),
    Needed("textual.app.App", "_unnotify", "(self, notification, refresh)"),
    Needed("textual.drivers.linux_driver.LinuxDriver", "_auto_restart", "bool"),
    Needed("textual.drivers.linux_driver.LinuxDriver", "_file", "TextIOWrapper"),
    Needed("textual.drivers.linux_driver.LinuxDriver", "_key_thread", "None"),
    Needed("textual.drivers.linux_driver.LinuxDriver", "_mouse_pixels", "bool"),
    Needed("textual.drivers.linux_driver.LinuxDriver", "_must_signal_resume", "bool"),
    Needed("textual.drivers.linux_driver.LinuxDriver", "_sigcont_application", "(self, *_)"),
    Needed("textual.screen.Screen", "_compositor", "Compositor"),
    Needed("textual.screen.Screen", "_compositor_refresh", "(self)"),
)
"""The private names; an attribute of type ``None`` is initially None."""

# --- apps ---


def exiting(app: App[Any]) -> bool:
    """True if the app was told to exit."""
    return app._exit


def driver_of(app: App[Any]) -> Driver | None:
    """The app's driver; None unless the app is running."""
    return app._driver


def has_terminal(app: App[Any]) -> bool:
    """True if the app has a terminal and may write to it now."""
    ready = app._running and not app._closed and not app._exit and not app.is_headless
    return ready and app._driver is not None and not app._batch_count and bool(app.screen_stack)


def around_a_frame(app: App[Any]) -> tuple[str, str]:
    """The sequences before and after a frame that make it a synchronized update, if the terminal supports that."""
    return (SYNC_START, SYNC_END) if app._sync_available else ("", "")


def crash(app: App[Any], error: Exception) -> None:
    """End the app like an exception in one of its handlers."""
    app._handle_exception(error)


def notices(app: App[Any]) -> list[Notification]:
    """The notices on the screen."""
    return list(app._notifications)


def withdraw(app: App[Any], notice: Notification) -> None:
    """Remove a notice from the screen."""
    app._unnotify(notice)


class TextualApp(App[ReturnType]):
    """An app that receives its updates instead of writing them to the terminal."""

    @abstractmethod
    def show(self, pieces: Iterator[tuple[int, int, Strip]]) -> None:
        """Show strips, given as column, row and strip."""

    def crashed(self) -> ReturnType | None:
        """Handle an uncaught exception; return the app's result, or None to let Textual print a traceback."""
        return None

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if not isinstance(renderable, CompositorUpdate) or self.is_inline:
            super()._display(screen, renderable)
            return
        try:
            if has_terminal(self):
                self.show(_pieces(renderable))
        finally:
            self.post_display_hook()

    def _fatal_error(self) -> None:
        result = self.crashed()
        if result is None:
            super()._fatal_error()
            return
        self._return_value = result
        self._close_messages_no_wait()


def _pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            yield update.region.x, y, Strip.join(line)
    elif isinstance(update, ChopsUpdate):
        for y, first, last in update.spans:
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                start, stop = max(x, first), min(end, last)
                if strip is not None and start < stop:
                    yield start, y, strip.crop(start - x, stop - x)


# --- screens ---


class SilentBelow(Screen[ScreenResultType]):
    """A screen that is not refreshed while another one is on top, as Textual would send the top one again each time."""

    def _compositor_refresh(self) -> None:
        if self.app.screen is self:
            super()._compositor_refresh()


def strips_below(screen: Screen[Any]) -> list[Strip] | None:
    """The strips of the screen below this one, while Textual renders this one; None if there is none."""
    screens = visible_screen_stack.get([])
    below = screens.pop() if screens else None
    return None if below is None or below is screen else below._compositor.render_strips()


# --- the terminal ---


class TextualDriver(LinuxDriver):
    """Textual's driver for Linux and macOS, with public names for its private attributes."""

    @property
    def output(self) -> IO[str]:
        """The output file, as of the start of application mode."""
        return self._file  # type: ignore[return-value]

    @output.setter
    def output(self, file: IO[str]) -> None:
        self._file = cast("Any", file)

    @property
    def restarts(self) -> bool:
        """True if application mode is left and entered again when the process is stopped and continued by signals."""
        return self._auto_restart

    @property
    def mouse_in_pixels(self) -> bool:
        """True if the terminal was asked to report mouse positions in pixels."""
        return self._mouse_pixels

    @property
    def reads(self) -> bool:
        """True if the thread that reads keys is running."""
        return self._key_thread is not None and self._key_thread.is_alive()

    def tell_of_resumption(self) -> None:
        """Make the next start of application mode publish the app's resume signal."""
        self._must_signal_resume = True

    @abstractmethod
    def continued(self) -> None:
        """Handle SIGCONT."""

    def _sigcont_application(self, *_: object) -> None:
        self.continued()


class TextualParser(XTermParser):
    """Textual's parser of terminal input, which yields messages."""

    @property
    def waits(self) -> bool:
        """True if an incomplete sequence is pending, which will be treated as keys unless its rest arrives soon."""
        return self._timeout_time is not None

    def end(self) -> None:
        """End the input, and discard what is left of it."""
        with contextlib.suppress(EOFError, ParseError):
            for _message in self.feed(""):
                pass
