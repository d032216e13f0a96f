"""fastmcp_client.py TARGET PLAN   the tools of one endpoint, as short.mjs, with the client of FastMCP, which tells of progress"""
import asyncio
import json
import sys
import warnings

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from mcp.shared.exceptions import MCPError

PATIENCE = 5  # for progress, which its client may hand on after the answer


def transport_of(target):
    if target["kind"] == "sse":
        return SSETransport(target["url"])
    if target["kind"] == "http":
        return StreamableHttpTransport(target["url"])
    return StdioTransport(target["command"], target["args"], env=target["env"], keep_alive=False, log_file=DEVNULL)


def wire(model):
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


async def step(client, name, published, args, wanted):
    """One call; `wanted` is how many messages of progress are to come, at least."""
    progress, came = [], asyncio.Event()

    async def on_progress(done, total, message):
        progress.append([done, total, message])
        if len(progress) >= wanted:
            came.set()

    entry = {"name": name}
    try:
        entry["answer"] = wire(await client.call_tool_mcp(published, args, progress_handler=on_progress))
        if wanted:
            await asyncio.wait_for(came.wait(), PATIENCE)
    except MCPError as error:
        entry["answer"] = {"error": wire(error.error)}
    except TimeoutError:
        pass  # the comparison tells it
    if progress:
        entry["progress"] = progress
    return entry


async def everything(client, plan, transcript):
    said = client.initialize_result
    transcript["init"] = {"capabilities": wire(said.capabilities), "instructions": said.instructions}
    transcript["lists"]["tools"] = [wire(tool) for tool in await client.list_tools()]
    for part in plan["parts"]:
        steps = transcript["parts"][part["key"]]
        for name, given in part["tools"].items():
            for args in given:
                text = json.dumps(args, ensure_ascii=False, separators=(",", ":"))
                wanted = part.get("progress", {}).get(name, 0)
                steps.append(await step(client, f"tool {name} {text}", part["prefix"] + name, args, wanted))
        # A server's words for this are not the proxy's.
        answer = (await step(client, "", part["prefix"] + "nobody", {}, 0))["answer"]
        steps.append({"name": "a tool of nobody", "answer": {"refused": "error" in answer or answer.get("isError") is True}})


async def main(target, plan):
    transcript = {"init": None, "lists": {}, "parts": {part["key"]: [] for part in plan["parts"]}, "late": []}
    try:
        async with Client(transport_of(target), timeout=20) as client:
            await everything(client, plan, transcript)
    except Exception as error:
        transcript["error"] = repr(error)
    json.dump(transcript, sys.stdout)


warnings.simplefilter("ignore")
DEVNULL = open("/dev/null", "w")
asyncio.run(main(*map(json.loads, sys.argv[1:3])))
