import { load, steps, url } from './steps/steps.mjs';

const { MCPClient } = await load('@mastra/mcp/dist/index.js');
const client = new MCPClient({ servers: { proxy: { url: new URL(url) } } }); // it finds out the transport itself
const tools = await client.listTools();
await steps((seed) => tools.proxy_alpha__word.execute({ seed }, {}));
