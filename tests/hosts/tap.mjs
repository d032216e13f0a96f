// A pass-through before the proxy that notes what the host sends, and how many tools it is told of.
import { appendFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';

const parse = (text) => { try { return JSON.parse(text); } catch { return undefined; } };

/** Starts on a free port and passes on to `upstream`. `log` is a file that gets one line of JSON for each request. */
export async function startTap(upstream, log) {
  const sent = []; // method of JSON-RPC, or of HTTP where there is none, in the order of arrival
  let tools = 0;
  let pages = new Map(); // id of a request for a list → whether it is the first page
  const agent = new Agent({ keepAlive: false });
  const count = (message) => {
    if (!Array.isArray(message?.result?.tools)) return;
    tools = (pages.get(message.id) === false ? tools : 0) + message.result.tools.length;
  };
  const server = createServer((incoming, outgoing) => {
    const chunks = [];
    incoming.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      const body = Buffer.concat(chunks);
      const message = parse(body.toString());
      const name = message?.method ?? (message ? 'answer' : incoming.method);
      if (message?.method === 'tools/list') pages.set(message.id, !message.params?.cursor);
      sent.push({ name, http: incoming.method, url: incoming.url, version: message?.params?.protocolVersion ?? incoming.headers['mcp-protocol-version'] });
      const { method, url, headers } = incoming;
      const note = (status) => appendFileSync(log, `${JSON.stringify({ method, url, name, status, headers, message })}\n`);
      const onward = request({ host: '127.0.0.1', port: upstream, method, path: url, headers, agent }, (reply) => {
        note(reply.statusCode);
        outgoing.writeHead(reply.statusCode, reply.rawHeaders);
        outgoing.flushHeaders();
        let rest = '';
        const isStream = /text\/event-stream/.test(reply.headers['content-type'] ?? '');
        reply.on('data', (chunk) => {
          outgoing.write(chunk);
          rest += chunk.toString();
          if (!isStream) return;
          const lines = rest.split(/\r?\n/);
          rest = lines.pop();
          for (const line of lines) if (line.startsWith('data:')) count(parse(line.slice(5)));
        });
        reply.on('end', () => {
          if (!isStream) count(parse(rest));
          outgoing.end();
        });
        reply.on('error', () => outgoing.destroy());
        reply.on('aborted', () => outgoing.destroy());
      });
      onward.on('error', () => { note('none'); outgoing.destroy(); });
      outgoing.on('close', () => onward.destroy());
      outgoing.on('error', () => {});
      onward.end(body);
    });
    incoming.on('error', () => {});
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: server.address().port,
    sent,
    tools: () => tools,
    close: () => { server.close(); server.closeAllConnections(); }
  };
}
