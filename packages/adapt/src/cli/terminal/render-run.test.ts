import { describe, expect, it } from 'vitest'
import type { RunEvent } from '../../record/index.js'
import { renderChange, renderPlaces } from './render-run.js'

const measured = (bits: number | null) => ({
  bits_per_byte: bits,
  nats_per_token: bits,
  ...{ bytes: 1, tokens: 1, documents: 1 },
})
const evaluation = (step: number, web: number, hollow: number | null, loss?: number): RunEvent => ({
  type: 'evaluation',
  step,
  time: step,
  sources: { web: measured(web), hollow: measured(hollow) },
  ...(loss === undefined ? {} : { validation: { eval_loss: loss, sources: {} } }),
})

describe('the end of a run', () => {
  it('shows each evaluation before and after, and the change', () => {
    const table = renderChange([
      evaluation(0, 2.5, null, 3),
      evaluation(5, 2.4, null, 2.5),
      evaluation(10, 2.25, null, 2),
    ])
    expect(table).toBe(
      [
        'bits per byte; eval_loss in nats per token  step 0  step 10   change',
        'web                                         2.5000   2.2500  -0.2500',
        'hollow                                           -        -        -',
        'eval_loss                                   3.0000   2.0000  -1.0000',
        '',
      ].join('\n'),
    )
  })

  it('shows none where there is nothing to compare', () => {
    expect(renderChange([])).toBe('')
    expect(renderChange([evaluation(10, 2, 2)])).toBe('')
  })

  it('names the run, the model, the report and the next commands', () => {
    const text = renderPlaces(
      `${process.cwd()}/runs/my run`,
      `${process.cwd()}/runs/my run/report.html`,
      true,
    )
    expect(text).toContain('model   runs/my run/model\n')
    expect(text).toContain("next    npx adapt generate --model 'runs/my run' --prompt TEXT\n")
    expect(text).toContain("adapt eval --model 'runs/my run' --text FILE\n")
    expect(renderPlaces('/a', '/a/report.html', false)).not.toContain('next')
  })
})
