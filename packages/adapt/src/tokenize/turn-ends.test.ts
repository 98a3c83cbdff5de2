import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChatOptions } from './chat-settings.js'
import { writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import { loadTokenizer } from './tokenizer.js'
import { findTurnEnds } from './turn-ends.js'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'adapt-turn-ends-'))
  // The vocabulary has the ids 0 to 303.
  writeTinyTokenizer(folder, { specials: ['<s>', '</s>', '<pad>', '<end>', '<more>', '</call>', '<turn>'] })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const [EOS, END, MORE] = [305, 307, 308]

const ends = (configured: string, options: ChatOptions = {}) =>
  findTurnEnds(loadTokenizer(folder, { configured, ...options }))
const turns = (assistant: string, rest = '') =>
  `{% for m in messages %}<turn>{{ m.role }}:{% if m.role == 'assistant' %}${assistant}{% else %}{{ m.content }}<end>{% endif %}\n{% endfor %}` +
  `{% if add_generation_prompt %}<turn>assistant:{% endif %}${rest}`

describe('the end of an answer', () => {
  it.each([
    ['a token that is not eos', turns('{{ m.content }}<end>'), [END]],
    ['eos', turns('{{ m.content }}{{ eos_token }}'), [EOS]],
    ['one within generation tags', turns('{% generation %}{{ m.content }}<end>{% endgeneration %}'), [END]],
    [
      'another one at the end of the conversation',
      turns('{{ m.content }}<end>', '{{ eos_token if not add_generation_prompt }}'),
      [EOS, END],
    ],
    [
      'another one behind a call, which has marks of its own',
      turns(
        "{{ m.content or '' }}{% for c in m.tool_calls or [] %}{{ c.function.name }}</call>{% endfor %}{{ '<more>' if m.tool_calls else '<end>' }}",
      ),
      [END, MORE],
    ],
    [
      'one of a template that refuses calls and two turns',
      `{% if messages | length > 2 %}{{ raise_exception('no') }}{% endif %}${turns('{{ m.content }}<end>')}`,
      [END],
    ],
    [
      'one of a template that takes no conversation without a system message',
      `{% if messages[0].role != 'system' %}{{ raise_exception('no') }}{% endif %}${turns('{{ m.content }}<end>')}`,
      [END],
    ],
  ])('is found: %s', async (_what, template, expected) => {
    expect(await ends(template)).toEqual({ ids: expected, text: undefined, warnings: [] })
    const all = await ends(template, { assistantOnlyLoss: false })
    expect(all).toEqual({ ids: expected, text: undefined, warnings: [] })
  })

  it('is known from the token behind a block that leaves it out, and said not to be trained', async () => {
    const template = turns('{% generation %}{{ m.content }}{% endgeneration %}<end>')
    const { ids, warnings } = await ends(template)
    expect(ids).toEqual([END])
    expect(warnings).toEqual([expect.stringContaining('"<end>" ends an answer outside of {% generation %}')])
    expect((await ends(template, { assistantOnlyLoss: false })).warnings).toEqual([])
  })

  it.each([
    ['<|im_end|>', /"<\|im_end\|>", which is \d+ tokens of ordinary text/],
    [';', /";", which is a token of ordinary text/],
  ])('that is ordinary text is told apart: %s', async (end, message) => {
    for (const block of ['', '{% generation %}']) {
      const close = block === '' ? '' : '{% endgeneration %}'
      const found = await ends(turns(`${block}{{ m.content }}${end}${close}`))
      expect(found).toMatchObject({ ids: [], text: end })
      expect(found.warnings).toHaveLength(1)
      expect(found.warnings[0]).toMatch(message)
    }
  })

  it('that is not there is told', async () => {
    const found = await ends(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{{ 'assistant: ' if add_generation_prompt }}",
    )
    expect(found).toMatchObject({ ids: [], text: undefined })
    expect(found.warnings).toEqual([expect.stringContaining('writes nothing behind an answer')])
  })

  it('that cannot be found is told', async () => {
    const found = await ends("{{ raise_exception('no conversation at all') }}")
    expect(found.warnings).toEqual([expect.stringContaining('no conversation at all')])
  })
})
