"""Records as lines of JSON, with what transformers' templates write of their values after Python's `json.loads`."""
import json
import random

from transformers.utils import chat_template_utils

NUM_RECORDS = 30
NUMBERS = (
    "0 -0 1 -1 1.0 -0.0 1e5 1E5 1e-05 0.1 0.0001 1e16 1e15 1e22 123456789012345680000.0 9007199254740992 9007199254740993 "
    "-9007199254740993 1234567890123456789 18446744073709551616 10000000000000000000000000000000000000000 1e400 -1e400 "
    "5e-324 1.7976931348623157e308 123456.789 2.5 3.14e+2 9999999999999998 12345678901234567.0"
).split()
TEXTS = ["", "a", "é😀", "it's", 'say "x"', "' and \"", "\n\t\r\x00\x7f", "\\", "\u2028\u00a0\ufeff\u200b", "</b>&", "\ue000\U000e0001"]
KEYS = ["zeta", "alpha", "10", "2", "0", "01", "4294967296", "1.5", "é", "__proto__", "toString", "items", "keys", "\n\""]

TEMPLATES = {
    "json": "{{ messages | tojson }}{{ tools | tojson }}",
    "styles of json": "{{ tools | tojson(indent=2) }}|{{ tools | tojson(indent=0) }}|{{ tools | tojson(ensure_ascii=true, sort_keys=true) }}"
    "|{{ tools | tojson(separators=(',', ':')) }}|{{ tools | tojson(false, '--', (' , ', ' = '), true) }}",
    "notation": "{{ messages }}{{ (tools, 1) }}{{ [1.0, 7 / 2, 6 / 2, none, true, {'a': 'b'}] }}",
    "values": """{%- for message in messages %}{{ message.x ~ '|' ~ message.missing }}{{ [message.x, none, true, 'a'] | join(' - ') }}
{%- for call in message.tool_calls or [] %}{% for name, value in call.function.arguments.items() %}
{{ name }}={{ value }};{{ value | string }};{{ value | tojson }}
{%- if value is string %}text{% elif value is mapping %}map{% elif value is boolean %}truth{% elif value is integer %}integer{% elif value is number %}float{% endif %}
{%- endfor %}{{ call.function.arguments.keys() | list | length }}{% endfor %}{% endfor %}""",
}


def value(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.45:
        return rng.choice(NUMBERS)
    if kind < 0.6:
        return text(rng, rng.choice(TEXTS))
    if kind < 0.7:
        return rng.choice(["true", "false", "null"])
    if kind < 0.8:
        return "[" + ", ".join(value(rng, depth - 1) for _ in range(rng.randint(0, 3))) + "]"
    return mapping(rng, depth)


def mapping(rng, depth):
    keys = rng.sample(KEYS, rng.randint(0, 5))
    return "{" + ",".join(f"{text(rng, key)}: {value(rng, depth - 1)}" for key in keys) + "}"


def text(rng, written):
    return json.dumps(written, ensure_ascii=rng.random() < 0.5)


def record(rng):
    call = '{"type":"function","function":{"name":"f","arguments":%s}}' % mapping(rng, 3)
    return (
        '{"messages":[{"role":"user","content":"a","x":%s},{"content":"b","role":"assistant","tool_calls":[%s]}],"tools":[%s]}'
        % (value(rng, 2), call, mapping(rng, 3))
    )


def render(source, line):
    parsed = json.loads(line)
    texts, _ = chat_template_utils.render_jinja_template(
        conversations=[parsed["messages"]], tools=parsed["tools"], chat_template=source
    )
    return texts[0]


def chat_records(seed):
    rng = random.Random(seed)
    lines = [record(rng) for _ in range(NUM_RECORDS)]
    return {
        "templates": TEMPLATES,
        "records": [
            {"line": line, "texts": {name: render(source, line) for name, source in TEMPLATES.items()}} for line in lines
        ],
    }
