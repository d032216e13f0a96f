import { load, steps, transport, url } from './steps/steps.mjs';

const { createMCPClient } = await load('@ai-sdk/mcp/dist/index.js');
const client = await createMCPClient({ transport: { type: transport === 'sse' ? 'sse' : 'http', url } });
const tools = await client.tools();
await steps((seed) => tools.alpha__word.execute({ seed }, { toolCallId: seed, messages: [] }));
