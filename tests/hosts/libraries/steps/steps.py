"""What each program of this folder does with its library: list, call, have the proxy restarted, call again.

A program gives an async context manager that connects to a URL over a transport, lists the tools, and yields a function
that calls one. What is printed is what the library's user would see.
"""
import asyncio
import os
import sys
import urllib.request

TOOL = "alpha__word"
PATIENCE = 20  # seconds for one step
IS_SSE = sys.argv[2] == "sse"


def _restart():
    # The address is on this machine: settings for proxies on the way out are not for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(os.environ["RESTART"], data=b"", method="POST"), timeout=60).read()


async def _tell(call, seed):
    """Prints the answer; tells whether there was one."""
    try:
        answer = await asyncio.wait_for(call(TOOL, {"seed": seed}), PATIENCE)
        print(f"{seed}: {answer}", flush=True)
        return "The word is" in str(answer)
    except Exception as error:
        print(f"{seed}: {type(error).__name__}: {error}", flush=True)
        return False


async def _play(connect):
    async with connect(sys.argv[1], IS_SSE) as call:
        await _tell(call, "before")
        await asyncio.to_thread(_restart)
        if not await _tell(call, "after"):
            await _tell(call, "once more")


def play(connect):
    """Runs the steps. The end of a connection that is gone is nobody's business here."""
    try:
        asyncio.run(_play(connect))
    finally:
        sys.stdout.flush()
        os._exit(0)
