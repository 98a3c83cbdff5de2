import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { type Conversation, compileChatTemplate, renderChat, renderPrompt } from './index.js'

const compile = (source: string) => compileChatTemplate(source, 'own.jinja')

/** Messages `u: ...`, `a: ...`, `s: ...`. */
function chat(...lines: string[]): readonly ChatMessage[] {
  const roles: Readonly<Record<string, string>> = { u: 'user', a: 'assistant', s: 'system' }
  return lines.map((line) => ({ role: roles[line[0]!]!, content: line.slice(2) }))
}

function trainedOf(source: string, conversation: Conversation, assistantOnly = true): string[] {
  const { text, trained } = renderChat(compile(source), conversation, {}, { assistantOnly })
  return trained.map(([start, end]) => text.slice(start, end))
}

function errorOf(run: () => unknown): AdaptError {
  try {
    run()
  } catch (error) {
    if (error instanceof AdaptError) return error
    throw error
  }
  throw new Error('expected an error')
}

const PLAIN =
  "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{{ '<assistant>' if add_generation_prompt }}"
const MARKED =
  '{% for m in messages %}<{{ m.role }}>{% if m.role == "assistant" %}{% generation %}{{ m.content }}' +
  '{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ "\\n" }}{% endfor %}'
const messages = chat('s:be', 'u:😀?', 'a:one', 'u:more', 'a:two 😀')

describe('what is trained', () => {
  it('is what the assistant adds after the generation prompt, without blocks', () => {
    expect(trainedOf(PLAIN, { messages })).toEqual(['one\n', 'two 😀\n'])
  })

  it('is the message with its header where the template knows no generation prompt', () => {
    const source =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ '?' if add_generation_prompt }}"
    expect(trainedOf(source, { messages })).toEqual(['<assistant>one', '<assistant>two 😀'])
  })

  it('is what stands in blocks', () => {
    expect(trainedOf(MARKED, { messages })).toEqual(['one', 'two 😀'])
  })

  it.each([
    ['blocks', MARKED, ['two 😀']],
    ['prefixes', PLAIN, ['two 😀\n']],
  ])('leaves out messages of the prompt, by %s', (_way, source, expected) => {
    expect(trainedOf(source, { messages, numPromptMessages: 3 })).toEqual(expected)
    expect(trainedOf(source, { messages, numPromptMessages: 5 })).toEqual([])
  })

  it.each([
    ['blocks', MARKED, ['two 😀'], ['one']],
    ['prefixes', PLAIN, ['two 😀\n'], ['one\n']],
  ])('leaves out untrained messages, by %s', (_way, source, second, first) => {
    expect(trainedOf(source, { messages, untrained: [2] })).toEqual(second)
    expect(trainedOf(source, { messages, untrained: [0, 1, 4] })).toEqual(first)
    expect(trainedOf(source, { messages, untrained: [2, 4] })).toEqual([])
    expect(trainedOf(source, { messages, numPromptMessages: 3, untrained: [2] })).toEqual(second)
  })

  it('leaves out untrained messages where all of the text is trained', () => {
    expect(trainedOf(PLAIN, { messages, untrained: [1, 4] }, false)).toEqual([
      '<system>be\n',
      '<assistant>one\n<user>more\n<assistant>',
    ])
  })

  it('is refused where it cannot be told which blocks an untrained message has', () => {
    const last =
      '{% for m in messages %}{% if loop.last %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}'
    const error = errorOf(() => trainedOf(last, { messages, untrained: [2] }))
    expect(error.code).toBe('CHAT_TEMPLATE_MASK')
    expect(error.message).toContain('belong to message 3, which is not to be trained')
    expect(trainedOf(last, { messages })).toEqual(['two 😀'])
  })

  it('is all of the text, or all after the prompt, when not only the assistant is trained', () => {
    for (const source of [PLAIN, MARKED]) {
      expect(trainedOf(source, { messages }, false)).toHaveLength(1)
      expect(trainedOf(source, { messages }, false)[0]).toMatch(/^<system>be\n.*😀\n$/su)
      const asked = { messages, numPromptMessages: 3 }
      expect(trainedOf(source, asked, false)).toEqual(['<user>more\n<assistant>two 😀\n'])
    }
    expect(trainedOf(PLAIN, { messages, numPromptMessages: 2 }, false)[0]).toMatch(/^one\n<user>/)
  })

  it('joins answers that touch and leaves out empty ones', () => {
    const twice = chat('u:?', 'a:one', 'a:', 'a:two')
    const source =
      '{% for m in messages %}{% if m.role == "user" %}?{% else %}' +
      '{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}'
    expect(trainedOf(source, { messages: twice })).toEqual(['onetwo'])
    expect(trainedOf(source, { messages: chat('u:?', 'a:') })).toEqual([])
  })

  it('is found where messages hold private-use characters', () => {
    const odd = chat('u:\ue000\ue001', 'a:\ue002 \ue000 x')
    expect(trainedOf(MARKED, { messages: odd })).toEqual(['\ue002 \ue000 x'])
    const all = String.fromCharCode(...Array.from({ length: 0x1900 }, (_, i) => 0xe000 + i))
    const error = errorOf(() => trainedOf(MARKED, { messages: chat('u:?', `a:${all}`) }))
    expect(error.message).toContain('every private-use character')
  })

  it.each([
    [
      'answers are shortened once others follow',
      `{% for m in messages %}{{ m.content[:1] if not loop.last else m.content }}{% endfor %}`,
    ],
    [
      'the last turn ends in another way',
      "{% for m in messages %}{{ m.content }}{{ '.' if loop.last }}{% endfor %}",
    ],
    [
      'a beginning is refused',
      "{% if messages | length < 5 %}{{ raise_exception('more!') }}{% endif %}{{ messages[0].content }}",
    ],
  ])('is refused with the way out where %s', (_why, source) => {
    const error = errorOf(() => trainedOf(source, { messages }))
    expect(error.code).toBe('CHAT_TEMPLATE_MASK')
    expect(error.message).toMatch(/^own\.jinja: cannot tell .* message 3: .*\{% generation %\}/)
  })

  it('is refused where a filter around a block changes its text', () => {
    const source =
      '{% set x %}{% generation %} {{ messages[0].content }} {% endgeneration %}{% endset %}{{ x | trim }}'
    const error = errorOf(() => trainedOf(source, { messages }))
    expect(error.code).toBe('CHAT_TEMPLATE_MASK')
    expect(trainedOf(source, { messages }, false)).toEqual(['be'])
  })
})

describe('an assistant that speaks first', () => {
  const first = chat('a:Welcome!', 'u:Tea?', 'a:Yes.')
  const turn = "<{{ m.role }}>{{ m.content }}</>{% endfor %}{{ '<assistant>' if add_generation_prompt }}"
  const preamble = `{% if loop.first and m.role != 'system' %}<system>Be kind.</>{% endif %}`

  it.each([
    ['puts a preamble before the first message', `{% for m in messages %}${preamble}${turn}`],
    ['puts a preamble and bos there', `<s>{% for m in messages %}${preamble}${turn}`],
    [
      'reads the first message outside of its loop',
      `{{ '<system>Be kind.</>' if messages[0].role != 'system' }}{{ messages[0].content[:0] }}{% for m in messages %}${turn}`,
    ],
    [
      'refuses an empty conversation',
      `{% if not messages %}{{ raise_exception('none') }}{% endif %}<s>{% for m in messages %}${preamble}${turn}`,
    ],
    ['writes nothing before', `{% for m in messages %}${turn}`],
    [
      'takes the blanks off',
      `<s>{% for m in messages %}${preamble}${turn.replace('m.content', 'm.content | trim')}`,
    ],
    [
      'has a prompt that begins in another way',
      `{% for m in messages %}${preamble}${turn.replace("'<assistant>'", "'<assistant><think>'")}`,
    ],
    [
      'has no generation prompt',
      `{% for m in messages %}${preamble}<{{ m.role }}>{{ m.content }}</>{% endfor %}`,
    ],
  ])('is trained with its words alone where the template %s', (why, source) => {
    const header = why.startsWith('has no') ? '<assistant>' : ''
    expect(trainedOf(source, { messages: first })).toEqual(['Welcome!</>', `${header}Yes.</>`])
  })

  it('is trained with its thoughts and its calls', () => {
    const words =
      "{% for m in messages %}{% if loop.first %}<s>{% endif %}<{{ m.role }}>{{ '(' ~ m.reasoning_content ~ ')' if m.reasoning_content }}" +
      '{% if m.tool_calls %}{{ m.tool_calls[0].name }}{% else %}{{ m.content }}{% endif %};{% endfor %}'
    const thoughts = { role: 'assistant', content: 'Hi', reasoning_content: 'hm' }
    const call = { role: 'assistant', content: null, tool_calls: [{ name: 'look' }] }
    expect(trainedOf(words, { messages: [thoughts] })).toEqual(['hm)Hi;'])
    expect(trainedOf(words, { messages: [call] })).toEqual(['look;'])
  })

  it('is refused where its words do not show', () => {
    const error = errorOf(() => trainedOf('<s>{{ messages | length }}', { messages: first }))
    expect(error.code).toBe('CHAT_TEMPLATE_MASK')
    expect(error.message).toContain('message 1: its words cannot be found')
  })
})

describe('a turn that begins in another way than the generation prompt', () => {
  it('is trained from where the two part', () => {
    const source =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{{ '<assistant><think>' if add_generation_prompt }}"
    expect(trainedOf(source, { messages: chat('u:?', 'a:<thanks>') })).toEqual(['<thanks></>'])
    const again = { messages: chat('u:?', 'a:one', 'a:two'), numPromptMessages: 2 }
    expect(trainedOf(source, again)).toEqual(['two</>'])
    expect(trainedOf(source, again, false)).toEqual(['two</>'])
  })
})

describe('a template', () => {
  it('that cannot be compiled is named with the reason', () => {
    for (const source of [
      '{% if x %}',
      '{{ x',
      '{% generation %}',
      '{% include "/etc/passwd" %}',
      '{{ a b }}',
    ]) {
      const error = errorOf(() => compile(source))
      expect(error.code).toBe('CHAT_TEMPLATE_SYNTAX')
      expect(error.message).toMatch(/^own\.jinja: [^\n]+$/)
    }
  })

  it('that ends too early is said to', () => {
    for (const source of ['{% if x %}', '{% for m in messages %}{{ m }}', '{{ x', '{% if']) {
      expect(errorOf(() => compile(source)).message, source).toMatch(
        /ends inside a tag or a block|end of input/,
      )
    }
  })

  it('that is made to harm is refused in time', () => {
    const [blanks, deep, large] = [' '.repeat(200_000), `{{ ${'('.repeat(100_000)} }}`, 'x'.repeat(300_000)]
    expect(errorOf(() => compile(blanks)).message).toContain('blanks in a row')
    expect(errorOf(() => compile(deep)).message).toContain('nested too deeply')
    expect(errorOf(() => compile(large)).message).toContain('262144 bytes')
  })

  it.each([
    [
      'CHAT_TEMPLATE_REFUSED',
      "{{ raise_exception('roles must alternate\\u202e') }}",
      /refuses .*alternate\\u\{202e\}/,
    ],
    ['CHAT_TEMPLATE_FAILED', '{{ range(1000000000) }}', /at most 100000 numbers/],
    ['CHAT_TEMPLATE_FAILED', '{{ range(0, 5, 0) }}', /step must not be zero/],
    ['CHAT_TEMPLATE_FAILED', '{{ messages.nothing() }}', /not a function/],
    ['CHAT_TEMPLATE_FAILED', '{{ strftime_now("%Q") }}', /does not know %Q/],
    ['CHAT_TEMPLATE_FAILED', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', /cannot be rendered/],
    ['CHAT_TEMPLATE_FAILED', '{{ messages.strip() }}', /strip is for text, received a list/],
    [
      'CHAT_TEMPLATE_FAILED',
      "{{ 'call ' + messages[0] }}",
      /joins text to a mapping; write values with tojson/,
    ],
    ['CHAT_TEMPLATE_FAILED', "{{ 'n' + 1.0 }}", /joins text to a float/],
    ['CHAT_TEMPLATE_FAILED', '{{ missing | tojson }}', /tojson cannot write a value that is not defined/],
    ['CHAT_TEMPLATE_FAILED', '{{ messages | tojson(width=2) }}', /tojson does not know "width"/],
    ['CHAT_TEMPLATE_FAILED', '{{ messages | tojson(indent=1000) }}', /indent of at most 100/],
  ])('that fails is named: %s %s', (code, source, message) => {
    const error = errorOf(() => renderPrompt(compile(source), { messages }, {}))
    expect(error.code).toBe(code)
    expect(error.exitCode).toBe(3)
    expect(error.message).toMatch(/^own\.jinja: [^\n]+$/)
    expect(error.message).toMatch(message)
  })

  it.each([
    ['doubles a text', doubled(27), /more than 67108864 characters/],
    [
      'doubles a text at once',
      "{% set n = namespace(t='xxxxxxxx') %}{% for i in range(30) %}{% set n.t = [n.t, n.t, n.t, n.t, n.t, n.t, n.t, n.t] | join %}{% endfor %}",
      /characters/,
    ],
    [
      'doubles a list',
      '{% set n = namespace(t=[1]) %}{% for i in range(30) %}{% set n.t = n.t + n.t %}{% endfor %}',
      /than 1000000 items/,
    ],
  ])('that %s is stopped', (_what, source, message) => {
    const error = errorOf(() => renderPrompt(compile(source), { messages }, {}))
    expect(error.code).toBe('CHAT_TEMPLATE_BUDGET')
    expect(error.exitCode).toBe(7)
    expect(error.message).toMatch(message)
  })

  it('may write what looks like a mapping in JavaScript where a message does', () => {
    const odd = chat('u:[object Map]')
    expect(renderPrompt(compile('{{ messages[0].content }}'), { messages: odd }, {})).toBe('[object Map]')
  })

  it('reaches nothing but its variables', () => {
    const names = ['process', 'require', 'globalThis', 'constructor', '__proto__', 'messages.constructor']
    const source = names.map((name) => `{{ 'reached' if ${name} is defined }}`).join('')
    expect(renderPrompt(compile(source), { messages }, {})).toBe('')
    expect(
      renderPrompt(
        compile("{{ messages[0]['__proto__'] is defined or ''.constructor is defined }}"),
        { messages },
        {},
      ),
    ).toBe('False')
  })

  it('says the same date on every day', () => {
    expect(renderPrompt(compile("{{ strftime_now('%d %b %Y') }}"), { messages }, {})).toBe('26 Jul 2024')
  })

  it('knows special tokens only where the tokenizer has them', () => {
    const template = compile("{{ bos_token }}{{ eos_token | default('none') }}")
    expect(renderPrompt(template, { messages }, { bos_token: '<s>', eos_token: undefined })).toBe('<s>none')
  })

  it('treats line ends of Windows as Python does', () => {
    expect(renderPrompt(compile('{% if true %}\r\na\r\n{% endif %}\r\nb\r\n'), { messages }, {})).toBe('a\nb')
  })
})

function doubled(times: number): string {
  return `{% set n = namespace(t='xx') %}{% for i in range(${times}) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}`
}

describe('arguments of a call that are JSON text', () => {
  const call = (args: unknown) => ({ type: 'function', function: { name: 'f', arguments: args } })
  const text = '{"b": 1.0, "10": 9007199254740993}'
  const chatOf = (args: unknown): Conversation => ({
    messages: [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: null, tool_calls: [call(args)] },
    ],
  })
  const ARGUMENTS = 'messages[1].tool_calls[0].function.arguments'
  const write = (source: string, args: unknown = text) =>
    renderChat(compile(source), chatOf(args), {}, { assistantOnly: false }).text

  it('are written as they are where the template takes text', () => {
    const source = `{{ ${ARGUMENTS} if ${ARGUMENTS} is string else ${ARGUMENTS} | tojson(indent=1) }}`
    expect(write(source)).toBe(text)
    expect(write(`{{ 'f(' + ${ARGUMENTS} + ')' }}`)).toBe(`f(${text})`)
  })

  it('are written once, not as text in JSON, where the template writes them with tojson', () => {
    expect(write(`{{ ${ARGUMENTS} | tojson }}`)).toBe(text)
    expect(write('{{ messages[1].tool_calls | tojson }}')).toBe(
      `[{"type": "function", "function": {"name": "f", "arguments": ${text}}}]`,
    )
  })

  it('are a mapping where the template needs one', () => {
    const items = `{% for name, value in ${ARGUMENTS}.items() %}{{ name }}={{ value }};{% endfor %}`
    expect(write(items)).toBe('b=1.0;10=9007199254740993;')
    const strict = `{% if ${ARGUMENTS} is not mapping %}{{ raise_exception('a mapping!') }}{% endif %}${items}`
    expect(write(strict)).toBe('b=1.0;10=9007199254740993;')
  })

  it('are those of the call alone, whatever a parameter is called', () => {
    const own = { arguments: '{"a": 1}', tool_calls: [{ arguments: '{}' }] }
    expect(write(`{{ ${ARGUMENTS} | tojson }}`, own)).toBe(
      '{"arguments": "{\\"a\\": 1}", "tool_calls": [{"arguments": "{}"}]}',
    )
  })

  it('that are no object stay text, and a key given twice in them is refused', () => {
    expect(write(`{{ ${ARGUMENTS} | tojson }}`, 'none')).toBe('"none"')
    expect(write(`{{ ${ARGUMENTS} | tojson }}`, '[1]')).toBe('"[1]"')
    const error = errorOf(() => write(`{{ ${ARGUMENTS} | tojson }}`, '{"a": 1, "a": 2}'))
    expect([error.code, error.exitCode]).toEqual(['BAD_FIELD', 3])
    expect(error.message).toContain('received "a" twice')
    expect(
      errorOf(() => write('{{ messages[1].tool_calls[0].function.arguments.items() }}', 'x')).message,
    ).toMatch(/not a function/)
  })
})

describe('where the library ends and Python does not', () => {
  const message: ChatMessage = { role: 'assistant', content: null, tool_calls: [{ a: 1 }] }
  const textOf = (source: string, ...some: ChatMessage[]) =>
    renderChat(compile(source), { messages: some }, {}, { assistantOnly: false }).text

  it.each([
    ['{{ messages[0].content | trim }}', 'None'],
    ['{{ messages[0].absent | trim }}.', '.'],
    ['{{ messages[0].tool_calls | upper }}', "[{'A': 1}]"],
    ['{{ 10 | replace("1", "2") }}', '20'],
    ['{% for part in messages[0].absent %}{{ part }}{% else %}none{% endfor %}', 'none'],
    ['{% for part in messages[0].absent if part.text %}{{ part }}{% endfor %}.', '.'],
  ])('a filter makes text of any value, and a loop over nothing has no turns: %s', (source, expected) => {
    expect(textOf(source, message)).toBe(expected)
  })
})
