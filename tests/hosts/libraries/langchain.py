"""LangChain's adapters, with a session that stays."""
from contextlib import asynccontextmanager

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    client = MultiServerMCPClient({"proxy": {"url": url, "transport": "sse" if is_sse else "streamable_http"}})
    async with client.session("proxy") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}
        yield lambda name, given: tools[name].ainvoke(given)


play(connect)
