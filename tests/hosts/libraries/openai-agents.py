"""OpenAI Agents SDK."""
from contextlib import asynccontextmanager

from agents.mcp import MCPServerSse, MCPServerStreamableHttp
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    kind = MCPServerSse if is_sse else MCPServerStreamableHttp
    async with kind(params={"url": url}, client_session_timeout_seconds=15) as server:
        await server.list_tools()
        yield server.call_tool


play(connect)
