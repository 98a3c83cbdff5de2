import { describe, expect, it } from 'vitest'
import { withStopTokens } from './stop-tokens.js'

describe('withStopTokens', () => {
  const config = { eos_token_id: 0, bos_token_id: 0, pad_token_id: 1, temperature: 0.6, hidden_size: 64 }

  it('adds what is missing as a list and keeps every other setting', () => {
    const generation = { eos_token_id: 0, top_p: 0.9, _from_model_config: true, transformers_version: '5' }
    expect(withStopTokens(generation, config, [0, 7])).toEqual({
      eos_token_id: [0, 7],
      top_p: 0.9,
      transformers_version: '5',
    })
    expect(withStopTokens({ eos_token_id: [3, 0] }, config, [7, 3])).toEqual({ eos_token_id: [3, 0, 7] })
  })

  it('changes nothing where all of them are there', () => {
    const generation = { eos_token_id: [7, 0], _from_model_config: true }
    expect(withStopTokens(generation, config, [0, 7])).toBe(generation)
    expect(withStopTokens(undefined, config, [0])).toBe(undefined)
    expect(withStopTokens({ eos_token_id: 9 }, config, [])).toEqual({ eos_token_id: 9 })
  })

  it('takes from config.json what transformers would, where there is no generation config', () => {
    const expected = { bos_token_id: 0, pad_token_id: 1, temperature: 0.6, eos_token_id: [0, 7] }
    expect(withStopTokens(undefined, config, [7])).toEqual(expected)
    expect(withStopTokens(undefined, {}, [7])).toEqual({ eos_token_id: [7] })
  })

  it('fills a generation config that names no end, where transformers never stops', () => {
    expect(withStopTokens({ top_k: 5 }, config, [0])).toEqual({ top_k: 5, eos_token_id: [0] })
  })
})
