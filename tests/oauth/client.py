"""client.py   the official Python SDK as an application, led by python.mjs over stdin and stdout, one JSON object per line

A command is {"url", "kept", "redirect", …}: a visit to `url` with what was kept of earlier ones (`client` and `tokens`),
during which all tools are listed and `echo` is called. With "expire" the access token counts as expired after that, and
`echo` is called again. "mode" is that of the SDK: "legacy" (the default here) or "auto".

While it runs, {"open": URL} asks for a browser; the next line says where that came back, {"back": URL}, or that it never
will, {"lost": reason}. At the end comes {"end": {tools, said, kept, trace}}, or {"error", …} in place of what was not
reached. `trace` are the requests, without those that a good token makes possible.
"""
import asyncio
import json
import sys
import warnings
from contextlib import AsyncExitStack
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken


def say(message):
    print(json.dumps(message), flush=True)


class Storage:
    def __init__(self, kept):
        self.kept = kept

    async def get_tokens(self):
        return OAuthToken.model_validate(self.kept["tokens"]) if self.kept.get("tokens") else None

    async def set_tokens(self, tokens):
        self.kept["tokens"] = tokens.model_dump(mode="json", exclude_none=True)

    async def get_client_info(self):
        return OAuthClientInformationFull.model_validate(self.kept["client"]) if self.kept.get("client") else None

    async def set_client_info(self, info):
        self.kept["client"] = info.model_dump(mode="json", exclude_none=True)


async def visit(command):
    kept, trace, back = command["kept"], [], None

    async def seen(response):
        request = response.request
        path = urlparse(str(request.url)).path
        if not path.endswith("/mcp") or path.startswith("/.well-known/") or response.status_code == 401:
            form = parse_qs(request.content.decode()) if path.endswith("/token") else {}
            grant = "".join(f" {value}" for value in form.get("grant_type", []))
            trace.append(f"{request.method} {path}{grant} {response.status_code}")

    async def browser(url):
        nonlocal back
        say({"open": url})
        back = json.loads(await asyncio.to_thread(sys.stdin.readline))

    async def came():
        if "lost" in back:
            raise RuntimeError(back["lost"])
        query = parse_qs(urlparse(back["back"]).query)
        return AuthorizationCodeResult(**{name: query.get(name, [None])[0] for name in ("code", "state", "iss")})

    metadata = {
        "client_name": "Stand-in",
        "redirect_uris": [command["redirect"]],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": command.get("method", "none"),
    }
    provider = OAuthClientProvider(
        command["url"], OAuthClientMetadata.model_validate(metadata), Storage(kept), browser, came,
        client_metadata_url=command.get("document"),
    )
    end = {"tools": None, "said": None, "kept": kept, "trace": trace}
    try:
        async with AsyncExitStack() as stack:
            http = httpx2.AsyncClient(auth=provider, event_hooks={"response": [seen]}, timeout=15, trust_env=False)
            http = await stack.enter_async_context(http)
            transport = streamable_http_client(command["url"], http_client=http)
            mode = command.get("mode", "legacy")
            client = await stack.enter_async_context(Client(transport, mode=mode, cache=None, read_timeout_seconds=15))
            end["tools"] = sorted(tool.name for tool in (await client.list_tools()).tools)
            for again in range(2 if command.get("expire") else 1):
                if again:
                    trace.append("expired")
                    provider.context.token_expiry_time = 1
                result = await client.call_tool(f"{command.get('prefix', '')}echo", {"text": "good day"})
                end["said"] = result.content[0].text
    except Exception as error:
        end["error"] = repr(leaf(error))
    say({"end": end})


def leaf(error):
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


warnings.simplefilter("ignore")  # what 2026-07-28 removes is what is tested here
for line in sys.stdin:
    asyncio.run(visit(json.loads(line)))
