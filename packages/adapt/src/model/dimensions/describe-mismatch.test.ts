import { describe, expect, it } from 'vitest'
import { describeMismatch, type Shapes } from './describe-mismatch.js'

const LAYERS = 6
const config = { num_hidden_layers: LAYERS, vocab_size: 10 }
const perLayer = (name: string, shape: number[]) =>
  Array.from({ length: LAYERS }, (_, i) => [`model.layers.${i}.${name}`, shape] as const)
const base: Shapes = new Map<string, number[]>([
  ['model.embed_tokens.weight', [10, 4]],
  ...perLayer('self_attn.q_proj.weight', [4, 4]),
  ['lm_head.weight', [10, 4]],
])
const withMore = (...more: (readonly [string, number[]])[]): Shapes => new Map([...base, ...more])
const without = (...names: string[]): Shapes => new Map([...base].filter(([name]) => !names.includes(name)))
const renamed = (rename: (name: string) => string): Shapes =>
  new Map(Array.from(base, ([name, shape]) => [rename(name), shape]))
const lines = (found: Shapes, expected = base) => describeMismatch(expected, found, config)?.lines

describe('the difference between a config and its weights', () => {
  it('is none for the same names and shapes', () => {
    expect(describeMismatch(base, new Map([...base].reverse()), config)).toBeUndefined()
  })

  it('has a line per kind of tensor, not per layer', () => {
    const bias = perLayer('self_attn.q_proj.bias', [4])
    expect(lines(withMore(...bias))).toEqual([
      'unexpected model.layers.*.self_attn.q_proj.bias (6 layers)',
      expect.stringContaining('hint: biases are in the file'),
    ])
    expect(lines(base, withMore(...bias))![0]).toBe('missing model.layers.*.self_attn.q_proj.bias (6 layers)')
    const two = [bias[1]!, bias[4]!]
    expect(lines(base, withMore(...two))![0]).toBe(
      'missing model.layers.*.self_attn.q_proj.bias (layers 1, 4)',
    )
  })

  it('has one line for layers that one side lacks', () => {
    expect(
      lines(without('model.layers.4.self_attn.q_proj.weight', 'model.layers.5.self_attn.q_proj.weight')),
    ).toEqual(['missing all of layers 4, 5', expect.stringContaining('hint: the file has 4 layers')])
    const more = withMore(['model.layers.6.self_attn.q_proj.weight', [4, 4]], ['model.layers.6.mlp.x', [1]])
    expect(lines(more)![0]).toBe('unexpected all of layer 6')
  })

  it('says both shapes', () => {
    const found = new Map([...base, ...perLayer('self_attn.q_proj.weight', [8, 4])])
    expect(describeMismatch(base, found, config)).toEqual({
      code: 'SHAPES_DIFFER',
      lines: [
        'wrong shape model.layers.*.self_attn.q_proj.weight is [8, 4], config.json says [4, 4] (6 layers)',
      ],
    })
  })

  it('is cut when there are very many kinds, and shows no control characters', () => {
    const many = Array.from({ length: 40 }, (_, i) => [`x${i}\u001b[2J`, [1]] as [string, number[]])
    const shown = lines(withMore(...many))!
    expect(shown).toHaveLength(13)
    expect(shown.at(-1)).toBe('unexpected ... and 28 more kinds of names')
    expect(shown.join('')).not.toContain('\u001b')
  })

  it.each([
    ['a compiled model', renamed((name) => `_orig_mod.${name}`), '_orig_mod'],
    ['a parallel wrapper', renamed((name) => `module.${name}`), 'parallel wrapper'],
    ['a PEFT model', renamed((name) => `base_model.model.${name}`), 'merge the adapter'],
    ['the body alone', renamed((name) => name.replace(/^model\./, '')), 'the names lack "model."'],
    ['quantised weights', withMore(...perLayer('self_attn.q_proj.qweight', [1])), 'quantised'],
    ['norms of heads', withMore(...perLayer('self_attn.q_norm.weight', [4])), 'Qwen3ForCausalLM'],
    ['a tied head', without('lm_head.weight'), 'tie_word_embeddings must be true'],
    [
      'fewer layers',
      without('model.layers.5.self_attn.q_proj.weight'),
      'the file has 5 layers, num_hidden_layers in config.json is 6',
    ],
    [
      'another vocabulary',
      withMore(['model.embed_tokens.weight', [12, 4]]),
      'the file has 12 rows, vocab_size in config.json is 10',
    ],
  ])('is explained for %s', (_, found, hint) => {
    expect(
      lines(found)!
        .filter((line) => line.startsWith('hint: '))
        .join('\n'),
    ).toContain(hint)
  })
})
