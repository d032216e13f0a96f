"""mcp-use."""
from contextlib import asynccontextmanager

from mcp_use import MCPClient
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    client = MCPClient({"mcpServers": {"proxy": {"url": url}}})
    session = await client.create_session("proxy")
    await session.list_tools()
    yield session.call_tool


play(connect)
