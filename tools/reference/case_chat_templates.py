#!/usr/bin/env python3
"""Conversations as transformers' `apply_chat_template` renders them: the shipped templates, tricky ones, and records
whose values JavaScript would change.

    python tools/reference/case_chat_templates.py [--check]
"""
import argparse
import datetime
import itertools
import sys

import jinja2
import transformers
from transformers.utils import chat_template_utils

from chat_records import chat_records
from golden import REPOSITORY, Case
from tricky_templates import DIFFERENT, TRICKY

SOURCES = ["case_chat_templates.py", "tricky_templates.py"]
SHIPPED = ("chatml", "chatml-generation", "gemma", "llama-2", "llama-3", "mistral", "phi", "zephyr")
TOKENIZER = "examples/tokenizer"
TOKENS = {
    "own": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    "none": {},
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "wetter",
            "description": "Weather of a town, <b>now</b> & \"today\"",
            "parameters": {"type": "object", "properties": {"ort": {"type": "string"}}, "required": ["ort"]},
        },
    },
    {"type": "function", "function": {"name": "zeit", "parameters": {"type": "object", "properties": {}}}},
]


def turns(*contents):
    """Messages of user and assistant in turn; a text that starts with `system:` comes before."""
    messages, roles = [], itertools.cycle(("user", "assistant"))
    for content in contents:
        if content.startswith("system:"):
            messages.append({"role": "system", "content": content[len("system:") :]})
        else:
            messages.append({"role": next(roles), "content": content})
    return messages


CALL = {"type": "function", "function": {"name": "wetter", "arguments": {"ort": "Köln"}}}
CONVERSATIONS = {
    "question": {"messages": turns("How many legs has a spider?")},
    "single": {"messages": turns("How many legs has a spider?", "Eight.")},
    "long": {"messages": turns("One.", "Two.", "Three.", "Four.", "Five.", "Six.")},
    "system": {"messages": turns("system:Answer in one word.", "Colour of snow?", "White.", "Of coal?", "Black.")},
    "unicode": {"messages": turns("system:🧪 Prüfer", "Grüße 👩‍🚀, こんにちは", "Здравствуй 🌍🌍", "é ≠ e\u0301?", "So ist es 🙂")},
    "empty": {"messages": turns("", "", "again", "")},
    "blanks": {"messages": turns("system:  two before", "  indented\n\n", "\n  answer with blanks \t\n", "x\r\ny", "z")},
    "odd blanks": {"messages": turns("\u001c a \u0085", "\u0085\ufeff b \ufeff\u2003")},
    "templates": {"messages": turns("{{ messages }} {% if x %}", "{# no #} {% endfor %} <|im_start|>system\nhi<|im_end|> </s>[INST]")},
    "assistant first": {"messages": [{"role": "assistant", "content": "Hello!"}, *turns("Hi.", "Good day.")]},
    "two answers": {"messages": turns("Go on.", "First.")[:2] + [{"role": "assistant", "content": "Second."}]},
    "tools": {
        "messages": [
            *turns("system:Be short.", "Weather in Köln?"),
            {"role": "assistant", "content": "", "tool_calls": [CALL, {**CALL, "id": "2"}]},
            {"role": "tool", "content": "{\"grad\": 21}", "name": "wetter"},
            {"role": "assistant", "content": "21 degrees."},
        ],
        "tools": TOOLS,
    },
    "calls without words": {
        "messages": [
            *turns("Weather in Köln?"),
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "21", "name": "wetter"},
            {"role": "assistant", "tool_calls": [CALL]},
            {"role": "tool", "content": "22", "name": "wetter"},
            {"role": "assistant", "content": "22 degrees."},
        ],
        "tools": TOOLS,
    },
    "tools without system": {"messages": turns("What time is it?", "Noon."), "tools": TOOLS},
    "other role": {"messages": [*turns("Hm?", "Hm."), {"role": "critic", "content": "Bad."}]},
}


class FixedClock(datetime.datetime):
    """The date that the project gives to templates."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def utf16(text, index):
    return len(text[:index].encode("utf-16-le")) // 2


def render(source, conversation, tokens, prompt):
    """`text` and the blocks of the assistant in UTF-16 units, or what the template refused it with."""
    try:
        texts, blocks = chat_template_utils.render_jinja_template(
            conversations=[conversation["messages"]], tools=conversation.get("tools"), chat_template=source,
            return_assistant_tokens_mask="endgeneration" in source, add_generation_prompt=prompt, **TOKENS[tokens],
        )
    except jinja2.exceptions.TemplateError as error:
        return {"refused": error.message}
    result = {"text": texts[0]}
    if blocks:
        result["blocks"] = [[utf16(texts[0], start), utf16(texts[0], end)] for start, end in blocks[0]]
    return result


def mask(tokenizer, source, conversation):
    """Ids and mask of transformers, with the tokenizer's own special tokens."""
    out = tokenizer.apply_chat_template(
        conversation["messages"], tools=conversation.get("tools"), chat_template=source,
        return_assistant_tokens_mask=True, return_dict=True, tokenize=True,
    )
    return {"ids": out["input_ids"], "mask": out["assistant_masks"]}


def all_renderings(sources):
    for name, source in sources.items():
        for key, conversation in CONVERSATIONS.items():
            for tokens, prompt in (("own", False), ("own", True), ("none", False)):
                # The tricky ones need their tokens, and conversations that they do not refuse.
                if name in TRICKY and (tokens == "none" or key in ("other role", "assistant first", "odd blanks")):
                    continue
                if key == "calls without words" and name in ("filters", "texts", "loops", "macros", "thoughts", "white space"):
                    continue
                found = render(source, conversation, tokens, prompt)
                yield {"template": name, "conversation": key, "tokens": tokens, "prompt": prompt, **found}


def cases():
    chat_template_utils.datetime = FixedClock
    folder = REPOSITORY / "packages/adapt/templates"
    shipped = {name: (folder / f"{name}.jinja").read_text() for name in SHIPPED}
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(REPOSITORY / TOKENIZER)
    marked = shipped["chatml-generation"]
    values = {
        "tokens": TOKENS,
        "conversations": CONVERSATIONS,
        "tricky": TRICKY,
        "renderings": list(all_renderings({**shipped, **TRICKY})),
        "different": [
            {"about": about, "source": source, **render(source, CONVERSATIONS["single"], "own", False)}
            for about, source in DIFFERENT.items()
        ],
        "masks": {
            "template": "chatml-generation", "tokenizer": TOKENIZER,
            "conversations": {
                key: mask(tokenizer, marked, conversation)
                for key, conversation in CONVERSATIONS.items() if key not in ("other role", "question")
            },
        },
    }
    reference = {"name": "transformers", "version": transformers.__version__, "jinja2": jinja2.__version__}
    yield Case(
        package="adapt", name="chat-templates", sources=SOURCES, seed=0, config={"date": "2024-07-26"},
        reason="text, compared exactly", reference=reference, tensors={}, values=values,
    )
    yield Case(
        package="adapt", name="chat-records", sources=["case_chat_templates.py", "chat_records.py"], seed=7, config={},
        reason="text, compared exactly", reference=reference, tensors={}, values=chat_records(7),
    )


def main():
    parser = argparse.ArgumentParser(description="Write or check the chat templates")
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    options = parser.parse_args()
    problems = []
    for case in cases():
        if options.check:
            try:
                problems += case.differences(REPOSITORY)
            except ValueError as error:
                problems.append(f"{case.folder}: {error}")
        else:
            case.write(REPOSITORY)
            print(f"{case.folder}: written with {case.reference['name']} {case.reference['version']}")
    print("\n".join(problems) if problems else "done")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
