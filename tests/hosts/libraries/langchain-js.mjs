import { load, steps, transport, url } from './steps/steps.mjs';

const { MultiServerMCPClient } = await load('@langchain/mcp-adapters/dist/index.js');
const client = new MultiServerMCPClient({ mcpServers: { proxy: { transport: transport === 'sse' ? 'sse' : 'http', url } } });
const tool = (await client.getTools()).find(({ name }) => name === 'alpha__word');
await steps((seed) => tool.invoke({ seed }));
