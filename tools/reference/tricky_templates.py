"""Templates that use what Jinja implementations disagree on, and the pieces on which the project's differs from Python's."""

TRICKY = {
    "white space": """{# a comment
   on two lines #}
  {%- for message in messages %}
    {% if message.role == 'user' %}
Q: {{ message.content }}

    {%- elif message.role == 'assistant' %}

  A: {{- message.content -}}
    {#- gone -#}
    !
    {% else %}
\tother {{ message.role }}
    {% endif %}
{%- endfor %}

  {% if add_generation_prompt %}
A:
{%- endif %}
end

""",
    "loops": """{%- set ns = namespace(count=0, last='none') %}
{%- set kept = 'outer' %}
{%- for message in messages if message.role != 'system' %}
[{{ loop.index }}/{{ loop.length }}{{ ' first' if loop.first }}{{ ' last' if loop.last else '' }} {{ kept }}]
  {%- if loop.previtem is defined and loop.previtem.role == message.role %} twice{% endif %}
  {%- if not message.content %} empty{% continue %} never{% endif %}
  {%- set kept = message.content[:2] %}
  {%- set ns.count = ns.count + 1 %}
  {%- set ns.last = message.role %} {{ kept }}
  {%- if loop.index > 4 %} enough{% break %}{% endif %} more
  {%- for letter in ['a', 'b', 'c'] %}{% if letter == 'b' %}-{% continue %}{% endif %}{{ letter }}{{ loop.revindex }}{% endfor %}
{% else %}
nobody
{%- endfor %} {{ ns.count }} {{ ns.last }} {{ kept }}
{%- for number in range(3, 0, -1) %} {{ number }}{% endfor %}
{%- for x in [1, 2] %}{% set x = x + 1 %}{{ x }}{% endfor %}
{%- for x in [] %}{{ x }}{% else %} nothing{% endfor %}""",
    "macros": """{%- macro turn(role, text='', end=eos_token) %}
<{{ role }}>{{ text }}{{ end }}
{%- endmacro %}
{%- macro box(title) -%}
[{{ title }}: {{ caller() }}]
{%- endmacro %}
{{- bos_token }}
{%- for message in messages %}
  {{- turn(message.role, text=message['content']) }}
  {%- if message.tool_calls is defined %}
    {%- for call in message.tool_calls %}
      {%- call box(call.function.name) %}{{ call.function.arguments | tojson }} {{ call.id | default('no id') }}{% endcall %}
    {%- endfor %}
  {%- endif %}
{%- endfor %}
{{- turn('end', end='.') }}""",
    "filters": """{%- for message in messages %}
{{ message.content | trim | upper }}|{{ message.content | length }}|{{ message.role | capitalize }}|{{ message.role | title }}
{{- '|' ~ message.missing | default('-') ~ '|' ~ (message.content | default('empty', true)) }}
{{ message.content | tojson }} {{ message.content | replace('e', 'E') }}
{%- endfor %}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(' & ') }}
{{ messages | length }} {{ messages[0] | length }} {{ messages | rejectattr('role', 'equalto', 'user') | list | length }} {{ (messages | first).role }} {{ (messages | last).role }}
{%- if tools %}
{{ tools | tojson }}
{{ tools | tojson(indent=2) }}
{{ tools[0] | tojson(separators=(',', ':'), sort_keys=true) }}
{%- for key, value in tools[0].function.items() %} {{ key }}{% if value is mapping %}={{ value.type }}{% endif %}{% endfor %}
{%- endif %}""",
    "texts": """{%- set system = messages[0].content if messages[0]['role'] == 'system' else '' %}
{%- set rest = messages[1:] if system else messages %}
{%- for message in rest[::-1] %}
{{- message.content.strip() }};{{ message.content.lstrip(' \\n') }};{{ message.content.rstrip('.!?') }};{{ message.content.strip('') }}
{{ message.content.split()[:2] | join('+') }} {{ message.content.split('.')[0] }} {{ 'indented' if message.content.startswith('  ') }}
{{ message.content.replace('\\n', '/') }} {{ message.content.upper().lower() }} {{ 'in' if 'o' in message.content else 'out' }}
{{ 'equal' if message.content == '' else 'unequal' }} {{ 'yes' if message.role in ['user', 'tool'] else 'no' }} {{ loop.index0 % 2 }} {{ 7 // 2 }} {{ 2 ** 3 }}
{{ 'same' if [message.role, 1] == ['user', 1] else 'not' }} {{ 'n' if '1' == 1 else 's' }} {{ 'c' if message.nothing is none else 'd' }}
{%- endfor %}
{%- if not system %} without{% endif %} {{ strftime_now('%d %b %Y, %A %B %-d %H:%M') }} {{ pad_token ~ unk_token }}""",
    "nothing": """{{ none }}{{ tools is none }}{{ messages[0].missing }}{{ none ~ '-' ~ true ~ '-' ~ missing ~ '-' ~ (none or false) }}
{%- for message in messages %}
{{ message.content }}|{{ message.content or '' }}|{{ 'none' if message.content is none }}{{ 'absent' if message.content is not defined }}
{%- set text = message.content %}{{ text if text is string else 'no text' }}|{{ message.tool_calls ~ '' if not message.tool_calls }}
{%- endfor %}""",
    "thoughts": """{%- set ns = namespace(question=-1) %}
{%- for message in messages %}
  {%- if message.role == 'user' %}{% set ns.question = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
{{ message.role }}:
  {%- set text = message.content %}
  {%- if message.role == 'assistant' %}
    {%- if loop.index0 < ns.question %}
      {%- set text = text.split('.')[-1].lstrip('\\n') %}
    {%- endif %}
    {%- generation -%}
      <think>{{ message.role }}</think>
    {{ text.strip('\\n') }}
    {% endgeneration %}
  {%- else %} {{ text }} .
    {%- generation %}{% endgeneration %}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
assistant:
  {% generation %}
 <think>{% endgeneration -%}
{%- endif %}
{{ eos_token }}""",
}

DIFFERENT = {
    "what is undefined equals none": "{{ 'equal' if missing == none else 'unequal' }}",
    "an index counts UTF-16 units": "{{ '🙂!'[1] }}",
    "a macro sees the variables where it is called":
        "{% macro m() %}{{ x }}{% endmacro %}{% for x in [1] %}{{ m() }}{% endfor %}",
    "capitalize leaves the other letters": "{{ 'uSER' | capitalize }}",
    "the remainder has the sign of the dividend": "{{ -1 % 3 }}",
    "split without a separator takes the byte order mark for a blank": "{{ 'a\ufeffb'.split()[0] }}",
    "methods of texts beyond those listed are missing": "{{ ', '.join(['a', 'b']) }}",
    "raw blocks are not read": "{% raw %}{{ x }}{% endraw %}",
}
