"""Google's Agent Development Kit."""
from contextlib import asynccontextmanager
from types import SimpleNamespace

from google.adk.tools.mcp_tool.mcp_session_manager import SseConnectionParams, StreamableHTTPConnectionParams
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    kind = SseConnectionParams if is_sse else StreamableHTTPConnectionParams
    toolset = McpToolset(connection_params=kind(url=url))
    tools = {tool.name: tool for tool in await toolset.get_tools()}
    yield lambda name, given: tools[name].run_async(args=given, tool_context=CONTEXT)


# What a tool asks of the agent that runs it.
CONTEXT = SimpleNamespace(function_call_id="1", state={}, invocation_id="1", agent_name="hosts", user_id="user")
play(connect)
