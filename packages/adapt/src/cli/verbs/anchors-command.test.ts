import { describe, expect, it } from 'vitest'
import type { AnchorInspection } from '../../anchors/index.js'
import { type JudgedAnchors, judgeAnchors } from './anchor-verdicts.js'
import { renderInspection } from './anchors-command.js'

const verdictOf = (name: string, value: number, set: Partial<JudgedAnchors> = {}) =>
  judgeAnchors({ diagnostics: { [name]: value }, numAnchors: 20, centered: false, tasks: [], ...set })[0]!
    .verdict

describe('judgeAnchors', () => {
  it.each([
    ['splitHalfReliability', 0.89, 'add anchors'],
    ['splitHalfReliability', 0.9, 'ok'],
    ['separationAuc', 0.5, 'no signal'],
    ['separationAuc', 0.3, 'inverted'],
    ['separationAuc', 0.9, 'ok'],
    ['resultantLength', 0.99, 'all alike'],
    ['resultantLength.code', 0.05, 'scattered'],
    ['resultantLength', 0.5, 'ok'],
    ['participationRatio', 1.4, 'redundant'],
    ['anisotropy', 0.8, 'set center'],
    ['staleness', 0.2, ''],
  ])('%s of %d: %s', (name, value, expected) => {
    expect(verdictOf(name, value)).toBe(expected)
  })

  it('passes no verdict on a task of one anchor, or on one anchor', () => {
    const tasks = [
      { task: 'a.b', anchors: 1 },
      { task: 'c', anchors: 19 },
    ]
    expect(verdictOf('resultantLength.a.b', 1, { tasks })).toBe('')
    expect(verdictOf('resultantLength.c', 1, { tasks })).toBe('all alike')
    expect(verdictOf('resultantLength', 1, { numAnchors: 1 })).toBe('')
    expect(verdictOf('participationRatio', 1, { numAnchors: 1 })).toBe('')
  })

  it('does not ask for what is done already or cannot be otherwise', () => {
    expect(verdictOf('anisotropy', 0.8, { centered: true })).toBe('ok')
    expect(verdictOf('participationRatio', 1, { numAnchors: 1 })).toBe('')
    expect(verdictOf('resultantLength', 1, { numAnchors: 1 })).toBe('')
  })
})

describe('renderInspection', () => {
  const found: AnchorInspection = {
    model: 'runs/\u001b[31mfirst',
    isTrained: true,
    centered: true,
    aggregate: 'max',
    numAnchors: 8,
    numTokens: 1234,
    tasks: [
      { task: 'code', anchors: 5, tokens: 1000 },
      { task: 'prose', anchors: 3, tokens: 234 },
    ],
    numSamples: 100,
    diagnostics: { splitHalfReliability: 0.5 },
    sources: [{ source: 'web', samples: 100, mean: 0.25, quantiles: [0.1, 0.2, 0.3] }],
    anchors: Array.from({ length: 8 }, (_, i) => ({
      place: `a.jsonl:${i + 1}`,
      task: 'code',
      cosine: 1 - i / 10,
      text: `line one\nline ${i} \u001b[2J ${'x'.repeat(200)}`,
    })),
    contamination: [
      {
        data: 'training',
        documents: 50,
        groups: [
          {
            group: 'anchors',
            items: 8,
            comparable: 8,
            shared: 2,
            duplicates: 1,
            documents: 3,
            examples: [{ kind: 'shared words', item: 'a.jsonl:1', document: 'd.jsonl:9', text: 'one two' }],
          },
        ],
      },
      { data: 'anchors', documents: 8, groups: [] },
    ],
  }

  it('shows every part on lines of its own, with control characters escaped and long texts cut', () => {
    const text = renderInspection(found)
    expect(text).not.toContain('\u001b')
    expect(text).toMatch(/^anchors: 8, 1,234 tokens, 2 tasks \(aggregate max\)$/m)
    expect(text).toMatch(/^splitHalfReliability +0\.5000 {2}add anchors$/m)
    expect(text).toMatch(/^web +100 +0\.2500 +0\.1000 +0\.2000 +0\.3000$/m)
    expect(text).toMatch(/^1\.0000 {2}a\.jsonl:1 +line one line 0 \\u\{1b\}\[2J x+\.\.\.$/m)
    expect(text).toMatch(/^0\.3000 {2}a\.jsonl:8 /m)
    expect(text).not.toContain('a.jsonl:4')
    expect(text).toMatch(/^anchors +8 +2 \(25\.0 %\) +1 \(12\.5 %\) +3$/m)
    expect(text).toContain('  shared words: a.jsonl:1 and d.jsonl:9: "one two"\n')
    for (const line of text.split('\n')) expect(line.length).toBeLessThan(140)
  })
})
