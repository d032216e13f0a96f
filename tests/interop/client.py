"""client.py TARGET PLAN   the same as client.mjs, with the official Python SDK

TARGET may carry "mode": "auto" (the SDK's default: ask for 2026-07-28 first, fall back); otherwise the 2025-11-25
handshake is used. Answers are what the SDK's models kept of the wire.
"""
import asyncio
import json
import sys
import time
import warnings

from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference


def transport_of(target):
    if target["kind"] == "sse":
        return sse_client(target["url"])
    if target["kind"] == "http":
        return streamable_http_client(target["url"])
    return stdio_client(
        StdioServerParameters(command=target["command"], args=target["args"], env=target["env"]), errlog=DEVNULL
    )


def wire(model):
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)


class Transcript:
    def __init__(self, client, plan):
        self.client, self.plan = client, plan
        self.init, self.steps, self.progress = None, [], []

    async def on_progress(self, progress, total, message):
        seen = {"progress": progress, "total": total, "message": message}
        self.progress.append({key: value for key, value in seen.items() if value is not None})

    async def step(self, name, call, progress=0):
        entry, model, self.progress = {"name": name}, None, []
        try:
            model = await call()
            entry["answer"] = wire(model)
        except MCPError as error:
            entry["answer"] = {"error": wire(error.error)}
        except (RuntimeError, ValueError) as error:
            entry["client"] = str(error)  # the SDK itself was not content
        # The SDK hands progress to tasks of their own, which may finish after the answer.
        end = time.monotonic() + 2
        while len(self.progress) < progress and time.monotonic() < end:
            await asyncio.sleep(0.01)
        if self.progress:
            entry["progress"] = self.progress
        self.steps.append(entry)
        return model

    async def list(self, what, field, call):
        items, cursor = [], None
        while True:
            page = await self.step(f"{what}/list", lambda: call(cursor=cursor))
            items += getattr(page, field, [])
            cursor = getattr(page, "next_cursor", None)
            if not cursor:
                return items

    async def each(self, kind, listed, given, call):
        for name in (item.name for item in listed):
            if name in self.plan["skip"]:
                continue
            if name not in given:
                self.steps.append({"name": f"{kind} {name} is not in the plan"})
            for args in given.get(name, []):
                progress = self.plan.get("progress", {}).get(name, 0)
                await self.step(f"{kind} {name} {json.dumps(args, ensure_ascii=False)}", lambda: call(name, args), progress)

    async def everything(self):
        client, plan = self.client, self.plan
        has = client.server_capabilities
        await self.step("ping", client.send_ping)
        tools = await self.list("tools", "tools", client.list_tools)
        call = lambda name, args: client.call_tool(name, args, progress_callback=self.on_progress)
        await self.each("tool", tools, plan["tools"], call)
        if has.resources:
            resources = await self.list("resources", "resources", client.list_resources)
            await self.list("resources/templates", "resource_templates", client.list_resource_templates)
            for uri in [str(item.uri) for item in resources] + plan["read"]:
                await self.step(f"read {uri}", lambda: client.read_resource(uri))
        if has.prompts:
            prompts = await self.list("prompts", "prompts", client.list_prompts)
            await self.each("prompt", prompts, plan["prompts"], client.get_prompt)
        if has.completions:
            for params in plan["complete"]:
                await self.step(f"complete {json.dumps(params)}", lambda: self.complete(**params))

    async def complete(self, ref, argument, context=None):
        kind = PromptReference if ref["type"] == "ref/prompt" else ResourceTemplateReference
        return await self.client.complete(kind(**ref), argument, (context or {}).get("arguments"))

    async def burst(self):
        """Many calls at once: each answer must be the one to its own question."""
        burst = self.plan["burst"]
        words = [f"word {i}" for i in range(25)]
        asked = [{**burst.get("with", {}), burst["argument"]: word} for word in words]
        answers = await asyncio.gather(*(self.client.call_tool(burst["tool"], args) for args in asked))
        pairs = zip(answers, words)
        wrong = [wire(a) for a, word in pairs if burst["expect"].replace("WORD", word) not in a.content[0].text]
        self.steps.append({"name": f"burst of {burst['tool']}", "answer": {"wrong": wrong}})


async def main(target, plan):
    mode = target.get("mode", "legacy")
    async with Client(transport_of(target), mode=mode, cache=None, read_timeout_seconds=20) as client:
        transcript = Transcript(client, plan)
        transcript.init = {
            "protocolVersion": client.protocol_version,
            "capabilities": wire(client.server_capabilities),
            "serverInfo": wire(client.server_info),
            "instructions": client.instructions,
        }
        if mode == "legacy":
            await transcript.everything()
        else:
            names = [tool.name for tool in (await client.list_tools()).tools]
            transcript.steps.append({"name": "names of the tools", "answer": names})
        await transcript.burst()
    json.dump({"init": transcript.init, "steps": transcript.steps}, sys.stdout)


warnings.simplefilter("ignore")  # what 2026-07-28 removes is what is tested here
DEVNULL = open("/dev/null", "w")
asyncio.run(main(*map(json.loads, sys.argv[1:3])))
