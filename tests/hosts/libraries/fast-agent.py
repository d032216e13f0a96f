"""fast-agent, with its own stand-in for a model, which is never asked."""
import json
from contextlib import asynccontextmanager
from pathlib import Path

from fast_agent import FastAgent
from steps import play


@asynccontextmanager
async def connect(url, is_sse):
    server = {"transport": "sse" if is_sse else "http", "url": url}
    settings = {"default_model": "passthrough", "logger": {"type": "none"}, "mcp": {"servers": {"proxy": server}}}
    Path("fastagent.config.yaml").write_text(json.dumps(settings))
    fast = FastAgent("hosts", parse_cli_args=False, quiet=True, config_path="fastagent.config.yaml")

    @fast.agent(name="one", servers=["proxy"], model="passthrough")
    async def agent():
        pass

    async with fast.run() as agents:
        await agents.one.list_tools()
        yield lambda name, given: agents.one.call_tool(name, given)


play(connect)
