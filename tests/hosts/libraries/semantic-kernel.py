"""Semantic Kernel."""
from contextlib import asynccontextmanager

from semantic_kernel.connectors.mcp import MCPSsePlugin, MCPStreamableHttpPlugin
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    kind = MCPSsePlugin if is_sse else MCPStreamableHttpPlugin
    async with kind(name="proxy", url=url, load_prompts=False, request_timeout=15) as plugin:
        yield lambda name, given: plugin.call_tool(name, **given)


play(connect)
