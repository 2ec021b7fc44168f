"""The clients that people use in Python, one operation after the other.

    python clients.py openai|anthropic|ollama

Each line on stdin is an operation, answered by one line on stdout; `connection` (its URL), `token`,
`model` and `tokens_max` come with each but the last:
    {"op": "models"} -> {"models": [NAME, ...]}
    {"op": "whole"}  -> {"text": TEXT, "tokens": N}
    {"op": "stream"} -> {"text": TEXT, "pieces": N}: a streamed answer, read to its end
    {"op": "call"}   -> {"text": JSON}: the arguments of a streamed call of a tool, read as JSON
    {"op": "open"}   -> {"text": TEXT}: the first piece of a streamed answer
    {"op": "rest"}   -> as stream: what came behind the first piece of the one that was opened first
Where the client raises an error the answer is {"error": {"kind", "status", "message"}}. Tokens come
on stdin because every user of the machine can read arguments; the certificate that vouches for the
gateway comes by SSL_CERT_FILE. The end of stdin ends the program.
"""

import argparse
import itertools
import json
import sys

# An error must be seen, not mended; and no operation may hang a test.
OPTIONS = {"max_retries": 0, "timeout": 30}
MESSAGES = [{"role": "user", "content": "Say hello."}]


class OpenAi:
    def __init__(self, base, token):
        import openai

        self.client = openai.OpenAI(base_url=f"{base}/v1", api_key=token, **OPTIONS)

    def models(self):
        return [model.id for model in self.client.models.list()]

    def whole(self, model, tokens_max):
        answer = self.client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=tokens_max
        )
        return answer.choices[0].message.content, answer.usage.completion_tokens

    def stream(self, model, tokens_max):
        for chunk in self.client.chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=tokens_max, stream=True
        ):
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content

    def call(self, model, tokens_max):
        tool = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}
        with self.client.chat.completions.stream(
            model=model, messages=MESSAGES, max_tokens=tokens_max, tools=[tool]
        ) as stream:
            [call] = stream.get_final_completion().choices[0].message.tool_calls
        return json.dumps(json.loads(call.function.arguments))


class Anthropic:
    def __init__(self, base, token):
        import anthropic

        self.client = anthropic.Anthropic(base_url=base, api_key=token, **OPTIONS)

    def models(self):
        return [model.id for model in self.client.models.list()]

    def whole(self, model, tokens_max):
        answer = self.client.messages.create(
            model=model, messages=MESSAGES, max_tokens=tokens_max
        )
        return answer.content[0].text, answer.usage.output_tokens

    def stream(self, model, tokens_max):
        with self.client.messages.stream(
            model=model, messages=MESSAGES, max_tokens=tokens_max
        ) as stream:
            yield from stream.text_stream


class Ollama:
    def __init__(self, base, token):
        import ollama

        headers = {"Authorization": f"Bearer {token}"}
        self.client = ollama.Client(host=base, headers=headers, timeout=OPTIONS["timeout"])

    def models(self):
        return [model.model for model in self.client.list().models]

    def whole(self, model, tokens_max):
        options = {"num_predict": tokens_max}
        answer = self.client.chat(model=model, messages=MESSAGES, options=options)
        return answer.message.content, answer.eval_count

    def stream(self, model, tokens_max):
        options = {"num_predict": tokens_max}
        for part in self.client.chat(
            model=model, messages=MESSAGES, options=options, stream=True
        ):
            if part.message.content:
                yield part.message.content


CLIENTS = {"openai": OpenAi, "anthropic": Anthropic, "ollama": Ollama}


def collected(pieces):
    pieces = list(pieces)
    return {"text": "".join(pieces), "pieces": len(pieces)}


class Operations:
    def __init__(self, client):
        self.client = client
        self.open = []

    def answer(self, asked):
        if asked["op"] == "rest":
            return collected(self.open.pop(0))
        client = self.client(asked["connection"], asked["token"])
        if asked["op"] == "models":
            return {"models": client.models()}
        if asked["op"] == "whole":
            text, tokens = client.whole(asked["model"], asked["tokens_max"])
            return {"text": text, "tokens": tokens}
        if asked["op"] == "call":
            return {"text": client.call(asked["model"], asked["tokens_max"])}
        pieces = client.stream(asked["model"], asked["tokens_max"])
        if asked["op"] == "open":
            self.open.append(pieces)
            return {"text": "".join(itertools.islice(pieces, 1))}
        return collected(pieces)


def failure(error):
    status = getattr(error, "status_code", None)
    return {"error": {"kind": type(error).__name__, "status": status, "message": str(error)}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("client", choices=CLIENTS)
    flags = parser.parse_args()
    operations = Operations(CLIENTS[flags.client])
    for line in sys.stdin:
        try:
            answer = operations.answer(json.loads(line))
        except Exception as error:  # whatever a client raises is what its user sees
            answer = failure(error)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
