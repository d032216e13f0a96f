"""client.py TARGET PLAN   the same as client.mjs, with the official Python SDK

TARGET may carry "mode": "auto" (the SDK's default: ask for 2026-07-28 first, fall back); then only the names of the
tools and the burst are in the transcript. Otherwise the 2025-11-25 handshake is used. Answers are what the SDK's models
kept of the wire; that no answer comes after a cancellation is seen by the other client only.
"""
import asyncio
import json
import re
import sys
import time
import warnings

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError


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


class Seen:
    """What came since the step began."""

    def __init__(self, answers=()):
        self.answers, self.hold = list(answers), None
        self.questions, self.progress, self.log, self.updated, self.changed = [], [], [], [], []


class Conversation:
    def __init__(self, plan):
        self.plan, self.roots, self.at = plan, plan["roots"], Seen()
        self.init, self.lists, self.steps = None, {}, []
        self.parts = {part["key"]: [] for part in plan["parts"]}
        self.client, self.error = None, None
        self.changes = 0  # of the list of tools, since the beginning
        self.patience = 5  # for what may come later than an answer

    async def soon(self, probe):
        """Looks every 10 ms, for as long as patience lasts. It halves with each disappointment."""
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            if await probe() if asyncio.iscoroutinefunction(probe) else probe():
                return True
            await asyncio.sleep(0.01)
        self.patience = max(self.patience / 2, 0.2)
        return False

    # ---------------------------------------------------------- what comes

    async def on_progress(self, progress, total, message):
        seen = {"progress": progress, "total": total, "message": message}
        self.at.progress.append({key: value for key, value in seen.items() if value is not None})

    async def on_message(self, message):
        if isinstance(message, types.LoggingMessageNotification):
            told = message.params
            data = told.data if isinstance(told.data, str) else json.dumps(told.data)
            self.at.log.append(f"{told.level} {told.logger or '-'}: {data}")
        elif isinstance(message, types.ResourceUpdatedNotification):
            self.at.updated.append(str(message.params.uri))
        elif (match := re.fullmatch("notifications/(.*)/list_changed", getattr(message, "method", ""))) is not None:
            self.changes += match[1] == "tools"
            self.at.changed.append(match[1])

    async def on_roots(self, _context):
        return types.ListRootsResult.model_validate({"roots": self.roots})

    async def on_sampling(self, _context, params):
        asked = params.messages[-1].content
        text = getattr(asked[0] if isinstance(asked, list) else asked, "text", "")
        return await self.answer("sampling/createMessage", params, types.CreateMessageResult, text)

    async def on_elicitation(self, _context, params):
        return await self.answer("elicitation/create", params, types.ElicitResult, "")

    async def answer(self, method, params, result, text):
        at = self.at
        at.questions.append({"method": method, "params": wire(params)})
        if at.hold:
            planned = await at.hold()
        else:
            planned = at.answers.pop(0) if at.answers else None
        if planned == "never":
            await asyncio.Event().wait()
        if planned is None:
            return types.ErrorData(code=-32603, message="the plan has no answer to this")
        if "error" in planned:
            return types.ErrorData.model_validate(planned["error"])
        quoted = json.dumps(text, ensure_ascii=False)[1:-1]
        return result.model_validate_json(json.dumps(planned, ensure_ascii=False).replace("ECHO", quoted))

    # --------------------------------------------------------------- steps

    async def step(self, name, call, want={}):
        self.at = Seen(want.get("answers", []))
        entry, model = {"name": name}, None
        try:
            model = await call()
            if isinstance(model, list):
                entry["answer"] = model
            elif model is not None:
                entry["answer"] = wire(model)
        except MCPError as error:
            entry["answer"] = {"error": wire(error.error)}
        except (RuntimeError, ValueError) as error:
            entry["client"] = str(error)  # the SDK itself was not content
        await self.hear(entry, want)
        return model

    async def hear(self, entry, want):
        """Waits for what is to come beside the answer, and notes it. Repeated news counts once."""
        at, wanted = self.at, want.get("log") or want.get("quiet")
        lines = lambda: [line for line in at.log if re.search(wanted, line)]
        times = len(self.plan["parts"]) if want.get("everywhere") else 1
        await self.soon(
            lambda: len(at.progress) >= (want.get("progress") or 0)
            and ("log" not in want or len(lines()) >= times)
            and all(uri in at.updated for uri in want.get("updated", []))
            and (not want.get("changed") or want["changed"] in at.changed)
        )
        if "quiet" in want:
            await self.client.send_ping()
        if at.progress:
            entry["progress"] = at.progress
        if at.questions:
            entry["questions"] = at.questions
        if wanted:
            entry["log"] = sorted(set(lines()))
        if "updated" in want:
            entry["updated"] = sorted(set(at.updated))
        if want.get("changed"):
            entry["changed"] = want["changed"] in at.changed
        self.steps.append(entry)

    async def list(self, what, call):
        items, cursor = [], None
        while True:
            page = wire(await call(cursor=cursor))
            items += page[what]
            cursor = page.get("nextCursor")
            if not cursor:
                self.lists[what] = items
                return items

    async def list_tools(self):
        """
        The tools. The first list does not wait for a child of this client alone, so what a server offers only to those
        whom it may ask comes with a change of the list. Without that news nothing is listed again, and the comparison
        tells it.
        """
        asking = {part["prefix"] + part["asks"]["tool"] for part in self.plan["parts"] if "asks" in part}
        while True:
            before = self.changes
            tools = await self.list("tools", self.client.list_tools)
            if asking <= {tool["name"] for tool in tools} or not await self.soon(lambda: self.changes > before):
                return tools

    async def each(self, kind, part, listed, given, known, call):
        """Calls what is listed with the planned arguments; what the plan does not name at all is an oversight."""
        for published in (item["name"] for item in listed if item["name"].startswith(part["prefix"])):
            name = published[len(part["prefix"]) :]
            if name not in given and name not in known:
                self.steps.append({"name": f"{kind} {name} is not in the plan"})
            for args in given.get(name, []):
                want = {field: part.get(field, {}).get(name) for field in ("progress", "changed")}
                text = json.dumps(args, ensure_ascii=False, separators=(",", ":"))
                await self.step(f"{kind} {name} {text}", lambda: call(published, args), want)

    async def call_tool(self, name, args):
        """Calls a tool, as a task where the server insists on that."""
        tool = next((tool for tool in self.lists["tools"] if tool["name"] == name), {})
        if (tool.get("execution") or {}).get("taskSupport") != "required":
            return await self.client.call_tool(name, args, progress_callback=self.on_progress)
        # The SDK dropped tasks, so these go past its models.
        send = lambda method, params: self.client.session._dispatcher.send_raw_request(method, params, {"timeout": 20})
        task = (await send("tools/call", {"name": name, "arguments": args, "task": {"ttl": 60_000}}))["task"]
        status, chosen = task["status"], {"taskId": task["taskId"]}
        while status == "working":
            await asyncio.sleep(1)
            status = (await send("tasks/get", chosen))["status"]
        return types.CallToolResult.model_validate(await send("tasks/result", chosen))

    async def complete(self, part, ref, argument, context=None):
        kind = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
        there = {**ref, "name": part["prefix"] + ref["name"]} if "name" in ref else ref
        return await self.client.complete(kind(**there), argument, (context or {}).get("arguments"))

    # ---------------------------------------------------------------- talk

    async def talk(self, part, words):
        client, verb = self.client, next(iter(words))
        if verb == "call":
            return await self.call(part, **words)
        if verb == "level":
            return await client.set_logging_level(words["level"])
        if verb == "subscribe":
            return await client.subscribe_resource(words["subscribe"])
        if verb == "unsubscribe":
            return await client.unsubscribe_resource(words["unsubscribe"])
        if verb == "roots":
            self.roots = words["roots"]
            return await client.send_roots_list_changed()
        if verb == "cancel":
            return await self.cancel(part, words)
        return await self.together(part, words["together"])

    async def call(self, part, call, arguments, until="", **_):
        result = None

        async def once():
            nonlocal result
            result = await self.call_tool(part["prefix"] + call, arguments)
            return until in json.dumps(wire(result), ensure_ascii=False)

        if until:
            await self.soon(once)
        else:
            await once()
        return result

    async def cancel(self, part, words):
        call = asyncio.create_task(self.call_tool(part["prefix"] + words["cancel"], words["arguments"]))
        came = await self.soon(lambda: getattr(self.at, words["after"]))
        call.cancel()
        (end,) = await asyncio.gather(call, return_exceptions=True)
        self.at.progress = []
        if not came:
            raise RuntimeError(f"no {words['after']} came")
        if not isinstance(end, asyncio.CancelledError):
            raise RuntimeError("it was answered")

    async def together(self, part, calls):
        calls = [self.call_tool(part["prefix"] + words["call"], words["arguments"]) for words in calls]
        return [outcome(end) for end in await asyncio.gather(*calls, return_exceptions=True)]

    # -------------------------------------------------------- conversation

    async def everything(self):
        client = self.client
        has = client.server_capabilities
        tools = await self.list_tools()
        prompts = await self.list("prompts", client.list_prompts) if has.prompts else []
        await self.asks()
        for part in self.plan["parts"]:
            self.steps = self.parts[part["key"]]
            await self.step("ping", client.send_ping)
            planned = [step for words in part.get("talk", []) for step in words.get("together", [words])]
            known = {*part["skip"], *(step.get("call", step.get("cancel")) for step in planned)}
            for n, words in enumerate(part.get("first", [])):
                await self.step(f"first {n}: call {words['call']}", lambda: self.talk(part, words), words)
            await self.each("tool", part, tools, part["tools"], known, self.call_tool)
            await self.each("prompt", part, prompts, part["prompts"], known, client.get_prompt)
            if has.completions:
                for params in part["complete"]:
                    text = json.dumps(params, separators=(",", ":"))
                    await self.step(f"complete {text}", lambda: self.complete(part, **params))
            for n, words in enumerate(part.get("talk", [])):
                verb, value = next(iter(words.items()))
                name = f"talk {n}: {verb} {value if isinstance(value, str) else ''}"
                await self.step(name, lambda: self.talk(part, words), words)
            if not has.resources:
                continue
            # After the tools, since some of them change what there is.
            resources = await self.list("resources", client.list_resources)
            await self.list("resourceTemplates", client.list_resource_templates)
            if "read" in part:
                for uri in [item["uri"] for item in resources] + part["read"]:
                    await self.step(f"read {uri}", lambda: client.read_resource(uri))

    async def bursts(self):
        """All at once, of all parts: each answer must be the one to its own question."""
        words = [f"word {i}" for i in range(25)]

        async def burst(key, prefix, plan):
            asked = [{**plan.get("with", {}), plan["argument"]: word} for word in words]
            calls = (self.client.call_tool(prefix + plan["tool"], args) for args in asked)
            answers = [outcome(end) for end in await asyncio.gather(*calls, return_exceptions=True)]
            text_of = lambda answer: (answer.get("content") or [{}])[0].get("text", "")
            pairs = zip(answers, words)
            wrong = [answer for answer, word in pairs if plan["expect"].replace("WORD", word) not in text_of(answer)]
            self.parts[key].append({"name": f"burst of {plan['tool']}", "answer": {"wrong": wrong}})

        await asyncio.gather(*(burst(part["key"], part["prefix"], part["burst"]) for part in self.plan["parts"]))

    async def asks(self):
        """
        Calls of all parts that ask something, open at the same time; the questions are answered last first. This comes
        early, when the servers have asked equally often, so that their own ids for the questions are the same.
        """
        asking = [part for part in self.plan["parts"] if "asks" in part]
        if not asking:
            return
        self.at = at = Seen()
        answer, waiting = asking[0]["asks"]["answer"], []
        total = sum(len(part["asks"]["arguments"]) for part in asking)

        async def hold():
            waiting.append(asyncio.get_running_loop().create_future())
            return await waiting[-1]

        async def at_once():
            return answer

        at.hold = hold
        calls = [
            asyncio.gather(
                *(self.call_tool(part["prefix"] + part["asks"]["tool"], args) for args in part["asks"]["arguments"]),
                return_exceptions=True,
            )
            for part in asking
        ]
        came = await self.soon(lambda: len(waiting) == total)
        for future in reversed(waiting):
            future.set_result(answer)
            await asyncio.sleep(0.005)
        at.hold = hold if came else at_once
        for part, call in zip(asking, calls):
            results = [outcome(end) for end in await call]
            entry = {"name": f"questions of {part['asks']['tool']} at once", "answer": {"results": results}}
            if not came:
                entry["client"] = f"{len(waiting)} of {total} questions were open at the same time"
            self.parts[part["key"]].append(entry)


def outcome(end):
    if isinstance(end, MCPError):
        return {"error": wire(end.error)}
    return {"client": str(end)} if isinstance(end, BaseException) else wire(end)


def leaf(error):
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def main(target, plan):
    talk = Conversation(plan)
    callbacks = {
        "sampling_callback": talk.on_sampling,
        "elicitation_callback": talk.on_elicitation,
        "list_roots_callback": talk.on_roots,
        "message_handler": talk.on_message,
    }
    mode = target.get("mode", "legacy")
    try:
        async with Client(transport_of(target), mode=mode, cache=None, read_timeout_seconds=20, **callbacks) as client:
            await hold(talk, client, mode)
    except Exception as error:
        talk.error = repr(leaf(error))
    json.dump({"init": talk.init, "lists": talk.lists, "parts": talk.parts, "late": [], "error": talk.error}, sys.stdout)


async def hold(talk, client, mode):
    talk.client = client
    talk.init = {
        "protocolVersion": client.protocol_version,
        "capabilities": wire(client.server_capabilities),
        "serverInfo": wire(client.server_info),
        "instructions": client.instructions,
    }
    if mode == "legacy":
        await talk.everything()
        await talk.bursts()
    else:
        await talk.list("tools", client.list_tools)
        await talk.bursts()


warnings.simplefilter("ignore")  # what 2026-07-28 removes is what is tested here
DEVNULL = open("/dev/null", "w")
asyncio.run(main(*map(json.loads, sys.argv[1:3])))
