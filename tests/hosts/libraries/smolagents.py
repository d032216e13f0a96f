"""smolagents."""
import asyncio
from contextlib import asynccontextmanager

from smolagents import MCPClient
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    client = MCPClient({"url": url, "transport": "sse" if is_sse else "streamable-http"}, structured_output=False)
    tools = {tool.name: tool for tool in client.get_tools()}
    yield lambda name, given: asyncio.to_thread(lambda: tools[name](**given))


play(connect)
