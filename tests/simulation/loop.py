"""An event loop with virtual time, whose nodes can be stopped, resumed and killed.

A node is a process of the simulated system: everything that runs in a context in which `NODE` is set to it. As with
SIGSTOP, callbacks of a stopped node wait, timers included; all of them run when it is resumed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any, Final, TypeVar

from shared.runtime.traces.current import Traces, use_traces

T = TypeVar("T")

NODE: Final[ContextVar["Node"]] = ContextVar("node")


class Node:
    """A simulated process. `alive` becomes false when it is killed, and stays false."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.backlog: list[_Due] = []

    def start(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run the coroutine in this node."""
        context, loop = Context(), asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.nodes.add(self)
        context.run(NODE.set, self)
        return loop.create_task(coroutine, context=context)

    def stop(self) -> None:
        """Stop the node, as SIGSTOP does."""
        self.stopped = True

    def resume(self) -> None:
        """Resume the node, as SIGCONT does."""
        self.stopped = False
        due, self.backlog = self.backlog, []
        for each in due:
            each.run_late()

    def kill(self) -> None:
        """Kill the node, as SIGKILL does: stop it permanently."""
        self.alive = False
        self.stopped = True


class _Due:
    """A callback of a node. It waits while the node is stopped."""

    __slots__ = ("_args", "_callback", "_node", "handle", "loop")

    def __init__(self, loop: "VirtualLoop", node: Node, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.loop = loop
        self._node = node
        self._callback = callback
        self._args = args
        self.handle: asyncio.Handle

    def __call__(self) -> None:
        if self._node.stopped:
            self._node.backlog.append(self)
        else:
            self._callback(*self._args)

    def run_late(self) -> None:
        if not self.handle.cancelled():
            self.loop.call_in(self.handle._context, self)  # type: ignore[attr-defined]


class _Selector:
    """A selector that advances the virtual clock where a real one waits for sockets."""

    def __init__(self) -> None:
        self.time = 0.0

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer is set")
        self.time += timeout
        return []


class _TracesOfNodes(Traces):
    """Traces nothing, and keeps what several requests share in the node that began it."""

    def batch_context(self) -> Context:
        context = super().batch_context()
        if (node := NODE.get(None)) is not None:
            context.run(NODE.set, node)
        return context


class VirtualLoop(asyncio.BaseEventLoop):
    """A deterministic event loop with virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Selector()
        self._clock_resolution = 1e-9
        self.nodes: set[Node] = set()

    def time(self) -> float:
        """Return the seconds since the simulation began."""
        return self._selector.time

    def call_in(self, context: Context, callback: Callable[..., object]) -> asyncio.Handle:
        """Schedule the callback soon, in this context."""
        return super().call_soon(callback, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        node = context.get(NODE) if context is not None else NODE.get(None)
        if node is None:
            return super().call_soon(callback, *args, context=context)
        due = _Due(self, node, callback, args)
        due.handle = super().call_soon(due, context=context)
        return due.handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        node = context.get(NODE) if context is not None else NODE.get(None)
        if node is None:
            return super().call_at(when, callback, *args, context=context)
        due = _Due(self, node, callback, args)
        handle = super().call_at(when, due, context=context)
        due.handle = handle
        return handle

    def _process_events(self, event_list: list[object]) -> None:
        """Do nothing: there are no sockets."""


def simulate(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end, then cancel every other task."""
    loop = VirtualLoop()
    try:
        with use_traces(_TracesOfNodes()):
            return loop.run_until_complete(main)
    finally:
        while rest := asyncio.all_tasks(loop):
            for task in rest:
                task.cancel()
            loop.run_until_complete(_end(loop, rest))
        loop.close()


async def _end(loop: VirtualLoop, tasks: "set[asyncio.Task[Any]]") -> None:
    """Wait for the cancelled tasks, also those of nodes that are stopped or killed."""
    for node in loop.nodes:
        node.resume()
    await asyncio.wait(tasks, timeout=1.0)
