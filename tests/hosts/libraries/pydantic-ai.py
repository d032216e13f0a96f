"""Pydantic AI."""
from contextlib import asynccontextmanager

from pydantic_ai.mcp import MCPToolset
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    async with MCPToolset(url) as toolset:
        await toolset.list_tools()
        yield toolset.direct_call_tool


play(connect)
