import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { idOfToken, isLabel } from './marked-token.js'
import { writeTinyTokenizer } from './tiny-tokenizer.test.fixture.js'
import { loadTokenizer, type Tokenizer } from './tokenizer.js'

let root = ''
let tokenizer: Tokenizer
beforeAll(() => {
  root = mkdtempSync(path.join(os.tmpdir(), 'adapt-marks-'))
  tokenizer = loadTokenizer(writeTinyTokenizer(root))
})
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

/** The tokens of a text whose trained spans stand in brackets. */
async function encode(marked: string) {
  const trained: [number, number][] = []
  let text = ''
  for (const part of marked.split(/(\[[^\]]*\])/)) {
    const inner = part.startsWith('[') ? part.slice(1, -1) : part
    if (part.startsWith('[')) trained.push([text.length, text.length + inner.length])
    text += inner
  }
  const [encoded] = await tokenizer.encodeMarked([{ text, trained }])
  const { tokens, trainedBytes } = encoded!
  const ids = tokens.map(idOfToken)
  expect(ids).toEqual((await tokenizer.encodeBatch([text]))[0])
  const labels = Int32Array.from(tokens.filter(isLabel))
  return { text, trainedBytes, labels: await tokenizer.decode(labels) }
}

describe('encodeMarked', () => {
  it('labels the tokens of each span', async () => {
    expect(await encode('qq[ww]qq[vv]')).toMatchObject({ labels: 'wwvv', trainedBytes: 4 })
    expect(await encode('qq')).toMatchObject({ labels: '', trainedBytes: 0 })
    expect(await encode('[qq]')).toMatchObject({ labels: 'qq', trainedBytes: 2 })
    expect(await encode('qq[]ww')).toMatchObject({ labels: '', trainedBytes: 0 })
  })

  it('labels a token that holds at least one character of a span', async () => {
    // "the" is one token of the tiny tokenizer.
    expect((await encode('th[e]')).labels).toBe('the')
    expect((await encode('[t]he')).labels).toBe('the')
  })

  it('counts characters where text has pairs of UTF-16 units', async () => {
    expect(await encode('😀é[😀w]é😀[v]😀')).toMatchObject({ labels: '😀wv', trainedBytes: 6 })
  })

  it('counts special tokens as labels, but not as bytes', async () => {
    expect(await encode('qq[ww</s>]<s>')).toMatchObject({ labels: 'ww</s>', trainedBytes: 2 })
  })

  it('labels the characters of the spans and nothing else, whatever the text', async () => {
    // Characters that never merge: one or several tokens each, none shared.
    const piece = fc
      .array(fc.constantFrom('q', 'é', '😀', '€', '\n'), { maxLength: 6 })
      .map((p) => p.join(''))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(piece, piece), { maxLength: 5 }), async (parts) => {
        const marked = parts.map(([context, span]) => `${context}[${span}]`).join('')
        const wanted = parts.map(([, span]) => span).join('')
        const found = await encode(marked)
        expect(found.labels).toBe(wanted)
        expect(found.trainedBytes).toBe(Buffer.byteLength(wanted))
      }),
      { seed: 1, numRuns: 100 },
    )
  })
})
