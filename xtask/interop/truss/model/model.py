"""The model that `cargo xtask interop truss` calls: the input's field "do" says how it answers."""

import asyncio

from fastapi import HTTPException


class Model:
    async def predict(self, request):
        return await getattr(self, request["do"])(request)

    async def echo(self, request):
        return {"echo": request["value"]}

    async def sleep(self, request):
        await asyncio.sleep(request["seconds"])
        return {"slept": request["seconds"]}

    async def nan(self, request):
        return {"value": float("nan")}

    async def fail(self, request):
        raise ValueError("the model failed on purpose")

    async def refuse(self, request):
        raise HTTPException(status_code=request["status"], detail=request["detail"])

    async def stream(self, request):
        """`pieces` pieces, `pause` seconds apart, the first at once; fails before `fail_at`."""

        async def pieces():
            for number in range(request["pieces"]):
                if number == request.get("fail_at"):
                    raise ValueError("the model failed on purpose, midway")
                if number:
                    await asyncio.sleep(request["pause"])
                yield f"piece {number};"

        return pieces()

    async def events(self, request):
        """Server-sent events, one for each of `data`, then the end marker."""

        async def events():
            for data in [*request["data"], "[DONE]"]:
                yield f"data: {data}\n\n"

        return events()
