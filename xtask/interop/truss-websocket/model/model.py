"""The model that `cargo xtask interop truss` talks with: a text may say what to do."""


class Model:
    async def websocket(self, websocket):
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                await websocket.send_bytes(message["bytes"][::-1])
            elif text == "bye":
                await websocket.send_text("goodbye")
                return
            elif text == "boom":
                raise ValueError("the model failed on purpose")
            elif text.startswith("close "):
                await websocket.close(code=int(text.split()[1]), reason="as asked")
                return
            else:
                await websocket.send_text("echo:" + text)
