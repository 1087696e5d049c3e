"""A proxy before the object store that fails on command: 503s, silence, answers cut in the middle, slowness.

It relays bytes between connections; of HTTP it knows only that what a client sends on an idle connection begins a request.
"""

import asyncio
import contextlib
import random
import socket
import threading
from typing import Literal

__all__ = ["Mode", "Proxy"]

Mode = Literal["through", "503", "silence", "cut", "slow"]
BLOCK = 1 << 16
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>"
REFUSAL = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_SLOW_DOWN), _SLOW_DOWN)
)


class Proxy:
    """Listens in a thread of its own until it is closed.

    Attributes:
        mode: How it treats what passes from now on.
        hits: How many pieces of traffic a mode other than ``through`` has met.
    """

    def __init__(self, host: str, port: int, target: tuple[str, int], rng: random.Random) -> None:
        self.host, self.port, self.target, self.rng = host, port, target, rng
        self.mode: Mode = "through"
        self.hits = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError(f"the proxy does not listen on {host}:{port}")

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, self.host, self.port, backlog=256))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._drop())
        self._loop.close()

    async def _drop(self) -> None:
        """End every connection's task, which closes the connection."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams = [writer]
        try:
            store, sink = await asyncio.open_connection(*self.target)
            streams.append(sink)
            for stream in streams:
                stream.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ways = [
                asyncio.ensure_future(self._relay(reader, sink, answer=writer)),
                asyncio.ensure_future(self._relay(store, writer, answer=None)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
        except (OSError, asyncio.CancelledError):  # no store, or the suite ends
            pass
        finally:
            for stream in streams:
                stream.close()
            for stream in streams:
                with contextlib.suppress(OSError):
                    await stream.wait_closed()

    async def _relay(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answer: asyncio.StreamWriter | None
    ) -> None:
        """Pass bytes on until a side closes or a fault ends the connection; ``answer`` leads back to the client."""
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while content := await source.read(BLOCK):
                if self.mode != "through":
                    self.hits += 1
                if self.mode == "503" and answer is not None:
                    # The answer to HEAD has no body, whatever its headers say.
                    answer.write(REFUSAL.partition(_SLOW_DOWN)[0] if content.startswith(b"HEAD") else REFUSAL)
                    await answer.drain()
                    return
                if self.mode == "silence":
                    while self.mode == "silence":
                        await asyncio.sleep(0.1)
                    return  # whatever was asked meanwhile is never answered
                if self.mode == "cut" and answer is None:
                    sink.write(content[: self.rng.randrange(len(content))])
                    await sink.drain()
                    return
                if self.mode == "slow":
                    await asyncio.sleep(self.rng.uniform(0.05, 0.4))
                sink.write(content)
                await sink.drain()
