// The interfaces in which hosts ask their models, as far as a turn with one call or one sentence needs them.
//
// A dialect has `tools(body)`, the tools that the host offers, and `reply(turn, body)`, whose text is a stream of events
// where the host asked for one.

const events = (all, done = '') => ({
  type: 'text/event-stream',
  text: all.map(([event, data]) => `${event ? `event: ${event}\n` : ''}data: ${JSON.stringify(data)}\n\n`).join('') + done
});
const json = (value) => ({ text: JSON.stringify(value) });
const named = (tools) => (tools ?? []).map(({ name }) => ({ name }));

// ------------------------------------------------------- Anthropic messages
const anthropic = {
  tools: ({ tools }) => named(tools),
  reply({ call, id, given, say }, { model, stream }) {
    const usage = { input_tokens: 1, output_tokens: 1 };
    const block = call ? { type: 'tool_use', id: `toolu_${id}`, name: call.name, input: given } : { type: 'text', text: say };
    const message = { id: `msg_${id ?? 'end'}`, type: 'message', role: 'assistant', model, content: [block], stop_reason: call ? 'tool_use' : 'end_turn', stop_sequence: null, usage };
    if (!stream) return json(message);
    const delta = call ? { type: 'input_json_delta', partial_json: JSON.stringify(given) } : { type: 'text_delta', text: say };
    const { stop_reason, stop_sequence } = message;
    const all = [
      { type: 'message_start', message: { ...message, content: [], stop_reason: null } },
      { type: 'content_block_start', index: 0, content_block: call ? { ...block, input: {} } : { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason, stop_sequence }, usage },
      { type: 'message_stop' }
    ];
    return events(all.map((data) => [data.type, data]));
  }
};

// ------------------------------------------------- OpenAI chat completions
const chat = {
  tools: ({ tools }) => named((tools ?? []).map((tool) => tool.function ?? tool)),
  reply({ call, id, given, say }, { model, stream }) {
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    const head = { id: 'chatcmpl-1', created: 1, model };
    const message = call
      ? { role: 'assistant', content: null, tool_calls: [{ id, type: 'function', function: { name: call.name, arguments: JSON.stringify(given) } }] }
      : { role: 'assistant', content: say };
    const finish_reason = call ? 'tool_calls' : 'stop';
    if (!stream) return json({ ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason }], usage });
    const delta = { ...message, ...(call && { tool_calls: [{ index: 0, ...message.tool_calls[0] }] }) };
    const chunk = (choices, more) => [undefined, { ...head, object: 'chat.completion.chunk', choices, ...more }];
    const all = [chunk([{ index: 0, delta, finish_reason: null }]), chunk([{ index: 0, delta: {}, finish_reason }]), chunk([], { usage })];
    return events(all, 'data: [DONE]\n\n');
  }
};

// -------------------------------------------------------- OpenAI responses
const responses = {
  /** Tools may stand in a namespace, which the call then has to name. */
  tools: ({ tools }) => (tools ?? []).flatMap(({ type, name, tools: inner }) => (type === 'namespace' ? inner.map((tool) => ({ name: tool.name, namespace: name })) : [{ name }])),
  reply({ call, id, given, say }, { model, stream }) {
    const usage = { input_tokens: 1, input_tokens_details: { cached_tokens: 0 }, output_tokens: 1, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 2 };
    const part = { type: 'output_text', text: say, annotations: [] };
    const item = call
      ? { type: 'function_call', id: `fc_${id}`, call_id: id, name: call.name, ...(call.namespace && { namespace: call.namespace }), arguments: JSON.stringify(given), status: 'completed' }
      : { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [part] };
    const whole = { id: `resp_${id ?? 'end'}`, object: 'response', created_at: 1, status: 'completed', model, output: [item], parallel_tool_calls: false, tool_choice: 'auto', tools: [], usage };
    if (!stream) return json(whole);
    const at = { item_id: item.id, output_index: 0 };
    const inner = call
      ? [{ type: 'response.function_call_arguments.delta', ...at, delta: item.arguments }, { type: 'response.function_call_arguments.done', ...at, arguments: item.arguments }]
      : [
        { type: 'response.content_part.added', ...at, content_index: 0, part: { ...part, text: '' } },
        { type: 'response.output_text.delta', ...at, content_index: 0, delta: say },
        { type: 'response.output_text.done', ...at, content_index: 0, text: say },
        { type: 'response.content_part.done', ...at, content_index: 0, part }
      ];
    const all = [
      { type: 'response.created', response: { ...whole, status: 'in_progress', output: [], usage: null } },
      { type: 'response.output_item.added', output_index: 0, item: { ...item, status: 'in_progress', ...(call ? { arguments: '' } : { content: [] }) } },
      ...inner,
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response: whole }
    ];
    return events(all.map((data, sequence_number) => [data.type, { ...data, sequence_number }]));
  }
};

// ---------------------------------------------------- Gemini generateContent
const gemini = (isStream) => ({
  tools: ({ tools }) => named((tools ?? []).flatMap(({ functionDeclarations }) => functionDeclarations ?? [])),
  reply({ call, given, say }) {
    const part = call ? { functionCall: { name: call.name, args: given } } : { text: say };
    const whole = {
      candidates: [{ content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 }],
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 }
    };
    return isStream ? events([[undefined, whole]]) : json(whole);
  }
});

const fixed = (value) => ({ reply: () => json(value) });

/** The dialect of a request, or undefined. One without `tools` needs no turn. */
export function dialectOf(method, url) {
  const path = url.split('?')[0];
  if (path.endsWith('/models') && method === 'GET') return fixed({ object: 'list', data: [{ id: 'stub', object: 'model', created: 1, owned_by: 'stub' }] });
  if (method !== 'POST') return undefined;
  if (path.endsWith('/messages/count_tokens')) return fixed({ input_tokens: 1 });
  if (path.endsWith('/messages')) return anthropic;
  if (path.endsWith('/chat/completions')) return chat;
  if (path.endsWith('/responses')) return responses;
  if (path.endsWith(':countTokens')) return fixed({ totalTokens: 1 });
  if (path.endsWith(':streamGenerateContent')) return gemini(true);
  if (path.endsWith(':generateContent')) return gemini(false);
  return undefined;
}
