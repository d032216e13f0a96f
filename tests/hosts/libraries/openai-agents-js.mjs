import { load, steps, transport, url } from './steps/steps.mjs';

const { MCPServerSSE, MCPServerStreamableHttp } = await load('@openai/agents/dist/index.mjs');
const server = new (transport === 'sse' ? MCPServerSSE : MCPServerStreamableHttp)({ url });
await server.connect();
await server.listTools();
await steps((seed) => server.callTool('alpha__word', { seed }));
