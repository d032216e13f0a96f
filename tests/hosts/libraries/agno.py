"""Agno."""
from contextlib import asynccontextmanager

from agno.tools.mcp import MCPTools
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    async with MCPTools(url=url, transport="sse" if is_sse else "streamable-http") as tools:
        yield lambda name, given: tools.functions[name].entrypoint(**given)


play(connect)
