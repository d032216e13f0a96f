"""Strands Agents."""
import asyncio
from contextlib import asynccontextmanager

from steps import play
from strands.tools.mcp import MCPClient


def transport(url, is_sse):
    if is_sse:
        from mcp.client.sse import sse_client

        return sse_client(url)
    from mcp.client.streamable_http import streamable_http_client

    return streamable_http_client(url)


@asynccontextmanager
async def connect(url, is_sse):
    client = MCPClient(lambda: transport(url, is_sse))
    with client:
        await asyncio.to_thread(client.list_tools_sync)
        yield lambda name, given: client.call_tool_async("1", name, given)


play(connect)
