"""Two chainlets, one of which asks the other: what a caller of a chain can meet."""

import truss_chains as chains


class Inner(chains.ChainletBase):
    async def run_remote(self, n: int) -> int:
        if n < 0:
            raise ValueError("n must not be negative")
        return n * n


@chains.mark_entrypoint
class Outer(chains.ChainletBase):
    def __init__(self, inner: Inner = chains.depends(Inner, retries=1)) -> None:
        self._inner = inner

    async def run_remote(self, n: int, broken: bool = False) -> int:
        if broken:
            raise ValueError("the entry point is out of order")
        return await self._inner.run_remote(n)
