"""LlamaIndex's tools, which have a session for each call."""
from contextlib import asynccontextmanager

from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    tools = {tool.metadata.name: tool for tool in await McpToolSpec(BasicMCPClient(url, timeout=15)).to_tool_list_async()}
    yield lambda name, given: tools[name].acall(**given)


play(connect)
