// The clients that people use in JavaScript, one operation after the other.
//
//   node clients.mjs openai|anthropic|ollama [--modules DIR]
//
// The operations and their answers are those of tests/python/clients.py. The certificate that
// vouches for the gateway comes by NODE_EXTRA_CA_CERTS. The end of stdin ends the program.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { load } from "./library.mjs";

// An error must be seen, not mended; and no operation may hang a test.
const OPTIONS = { maxRetries: 0, timeout: 30_000 };
const messages = [{ role: "user", content: "Say hello." }];

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    modules: { type: "string", default: process.env.PENSTOCK_NODE_MODULES },
  },
});

const CLIENTS = {
  async openai() {
    const { OpenAI } = await load("openai", flags.modules);
    return (base, apiKey) => {
      const client = new OpenAI({ baseURL: `${base}/v1`, apiKey, ...OPTIONS });
      return {
        async models() {
          return (await client.models.list()).data.map((model) => model.id);
        },
        async whole(model, max_tokens) {
          const asked = { model, messages, max_tokens };
          const answer = await client.chat.completions.create(asked);
          const { completion_tokens: tokens } = answer.usage;
          return { text: answer.choices[0].message.content, tokens };
        },
        async *stream(model, max_tokens) {
          const asked = { model, messages, max_tokens, stream: true };
          for await (const chunk of await client.chat.completions.create(asked)) {
            const text = chunk.choices[0]?.delta.content;
            if (text) yield text;
          }
        },
        async call(model, max_tokens) {
          const tools = [{ type: "function", function: { name: "send", parameters: {} } }];
          const asked = { model, messages, max_tokens, tools };
          const answer = await client.chat.completions.stream(asked).finalChatCompletion();
          const [{ function: called }] = answer.choices[0].message.tool_calls;
          return JSON.stringify(JSON.parse(called.arguments));
        },
      };
    };
  },

  async anthropic() {
    const { Anthropic } = await load("@anthropic-ai/sdk", flags.modules);
    return (baseURL, apiKey) => {
      const client = new Anthropic({ baseURL, apiKey, ...OPTIONS });
      return {
        async models() {
          return (await client.models.list()).data.map((model) => model.id);
        },
        async whole(model, max_tokens) {
          const answer = await client.messages.create({ model, messages, max_tokens });
          return { text: answer.content[0].text, tokens: answer.usage.output_tokens };
        },
        async *stream(model, max_tokens) {
          const asked = { model, messages, max_tokens, stream: true };
          for await (const event of await client.messages.create(asked)) {
            if (event.type === "content_block_delta") yield event.delta.text;
          }
        },
      };
    };
  },

  async ollama() {
    const { Ollama } = await load("ollama", flags.modules);
    return (host, token) => {
      const client = new Ollama({ host, headers: { Authorization: `Bearer ${token}` } });
      return {
        async models() {
          return (await client.list()).models.map((model) => model.model);
        },
        async whole(model, num_predict) {
          const options = { num_predict };
          const answer = await client.chat({ model, messages, options });
          return { text: answer.message.content, tokens: answer.eval_count };
        },
        async *stream(model, num_predict) {
          const asked = { model, messages, options: { num_predict }, stream: true };
          for await (const part of await client.chat(asked)) {
            if (part.message.content) yield part.message.content;
          }
        },
      };
    };
  },
};

async function collected(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return { text: pieces.join(""), pieces: pieces.length };
}

const connect = await CLIENTS[positionals[0]]();
const open = [];

async function answer(asked) {
  if (asked.op === "rest") return collected(open.shift());
  const client = connect(asked.connection, asked.token);
  if (asked.op === "models") return { models: await client.models() };
  if (asked.op === "whole") return client.whole(asked.model, asked.tokens_max);
  if (asked.op === "call") return { text: await client.call(asked.model, asked.tokens_max) };
  const stream = client.stream(asked.model, asked.tokens_max);
  if (asked.op !== "open") return collected(stream);
  open.push(stream);
  return { text: (await stream.next()).value };
}

function failure(error) {
  const status = error.status ?? error.status_code ?? null;
  return { error: { kind: error.constructor.name, status, message: error.message } };
}

for await (const line of createInterface({ input: process.stdin })) {
  // Whatever a client throws is what its user sees.
  const answered = await answer(JSON.parse(line)).catch(failure);
  process.stdout.write(`${JSON.stringify(answered)}\n`);
}
