"""Asks a running example through the official client: which models are there, and a chat, word by word.

    python examples/ask.py --url http://127.0.0.1:8000/openai/v1 --key bob-demo-token --model tiny-chat

Exits with 1 when the answer is an error, and prints it.
"""

from __future__ import annotations

import argparse
import sys

from openai import APIError, DefaultHttpxClient, OpenAI


def client(url: str, key: str) -> OpenAI:
    # The examples are on this machine: a proxy named in the environment has no part in them.
    return OpenAI(base_url=url, api_key=key, max_retries=0, http_client=DefaultHttpxClient(trust_env=False))


def list_models(openai: OpenAI) -> list[str]:
    return [model.id for model in openai.models.list()]


def chat(openai: OpenAI, model: str, question: str) -> int:
    """Prints the answer as it comes; returns the number of pieces in which it came."""
    pieces = 0
    with openai.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], stream=True
    ) as stream:
        for chunk in stream:
            if chunk.choices and (word := chunk.choices[0].delta.content):
                print(word, end="", flush=True)
                pieces += 1
    print()
    return pieces


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask an example application through the official OpenAI client.")
    parser.add_argument("--url", required=True, help="where the API is, such as http://127.0.0.1:8000/openai/v1")
    parser.add_argument("--key", required=True, help="the user's token at the application")
    parser.add_argument("--model", default="tiny-chat")
    parser.add_argument("question", nargs="?", default="Good morning!")
    options = parser.parse_args()
    with client(options.url, options.key) as openai:
        try:
            print("models:", ", ".join(list_models(openai)))
            chat(openai, options.model, options.question)
        except APIError as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
