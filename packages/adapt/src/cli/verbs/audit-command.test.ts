import { describe, expect, it } from 'vitest'
import type { Audit, AuditedSignal } from '../../audit/index.js'
import { renderAudit } from './audit-command.js'

const auc = (value: number) => ({
  ...{ value, positives: 40, negatives: 400 },
  interval: [value - 0.05, Math.min(1, value + 0.05)] as const,
})
const correlation = (value: number) => ({ value, pairs: 256, interval: [value - 0.1, value + 0.1] as const })

const signal = (name: string, isWorth: boolean, changes: Partial<AuditedSignal> = {}): AuditedSignal => ({
  ...{ name, methods: [name], signal: { kind: name }, isWorth, costShare: 0.026, seconds: 1, flops: 1e9 },
  says: isWorth ? 'worth training with' : 'as good as random',
  ...{ anchors: auc(0.9), rest: auc(0.95), sibling: auc(0.8), noise: auc(1) },
  influence: { dot: correlation(0.4), cosine: correlation(0.3) },
  ...{ splitHalf: 0.97, betweenSources: 0.36, sources: [] },
  ...changes,
})

const audit: Audit = {
  model: 'runs/\u001b[31mfirst',
  samples: 512,
  anchors: 80,
  roles: { target: ['sql'], sibling: ['postgres'], noise: ['noise'] },
  influence: { anchors: auc(0.9), rest: auc(0.98), splitHalf: 0.7, samples: 256, seconds: 9, flops: 1e12 },
  signals: [
    signal('adapt', true, { methods: ['adapt', 'adapt-paper'] }),
    signal('bm25', true, { costShare: 0 }),
    signal('random', false),
  ],
  leftOut: ['less', 'greats'].map((name) => ({ name, reason: 'heavy: ask for it by --all' })),
  ...{ best: 'adapt', ties: ['bm25'], cautions: ['only 6 samples'] },
}

describe('renderAudit', () => {
  const text = renderAudit(audit)

  it('shows every signal in a line of a terminal, and escapes what others named', () => {
    expect(text).not.toContain('\u001b')
    expect(text).toMatch(
      /^adapt +\.95 \[\.90, 1\.00\] +\.80 +1\.00 +\.40 \[\.30, \.50\] +\.97 +36 % +2\.6 %$/m,
    )
    expect(text).toMatch(/^gradient influence +\.98 /m)
    expect(text).toMatch(/^bm25 .* 0 %$/m)
    for (const line of text.split('\n')) expect(line.length).toBeLessThan(100)
  })

  it('ends with the verdict, behind what should be known first', () => {
    expect(text).toContain('adapt scores as adapt-paper\n')
    expect(text).toContain('left out: less, greats: heavy: ask for it by --all\n')
    expect(text).toContain('caution: only 6 samples\n')
    const verdict = text.slice(text.lastIndexOf('\n\n')).replace(/\s+/g, ' ').trim()
    expect(verdict).toBe(
      'worth training with: adapt (AUC .95 [.90, 1.00], influence .40 [.30, .50]); not told apart from it: bm25',
    )
  })

  it('has no column for what was not asked for', () => {
    const { influence: _, ...rest } = audit
    const bare = renderAudit({ ...rest, roles: { target: [], sibling: [], noise: [] }, signals: [] })
    expect(bare).toMatch(/^signal +anchors +halves +cost$/m)
    expect(bare).toContain('no signal was scored')
  })

  it('says that none is worth it, and why', () => {
    const { best: _, ...rest } = audit
    const none = renderAudit({ ...rest, signals: [signal('random', false), signal('twin', false)], ties: [] })
    expect(none).toContain('none of the 2 signals is worth training with: 2 as good as random\n')
  })
})
