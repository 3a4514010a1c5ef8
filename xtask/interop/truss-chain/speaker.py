"""A chain whose entry point is a generator: what a caller of a streamed chain can meet."""

import asyncio
from collections.abc import AsyncIterator

import truss_chains as chains


@chains.mark_entrypoint
class Speaker(chains.ChainletBase):
    async def run_remote(self, pieces: int, pause: float = 0.0, fail_at: int = -1) -> AsyncIterator[str]:
        for n in range(pieces):
            if n > 0:
                await asyncio.sleep(pause)
            if n == fail_at:
                raise ValueError("the entry point failed on purpose, midway")
            yield f"piece {n};"
