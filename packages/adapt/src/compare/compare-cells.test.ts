import { describe, expect, it } from 'vitest'
import type { CellRecord } from './cell-record.js'
import { compareCells } from './compare-cells.js'
import { renderComparisonPage } from './comparison-report.js'
import { comparisonTables } from './comparison-tables.js'
import { renderCsv, renderJson, renderMarkdown } from './render-comparison.js'
import { type StudyConfig, studySchema } from './study-schema.js'

const study = (arms: readonly string[], more: object = {}): StudyConfig =>
  studySchema.parse({
    base: 'run.yaml',
    seeds: [0, 1, 2],
    baseline: 'uniform',
    arms: Object.fromEntries(arms.map((arm) => [arm, { method: 'uniform' }])),
    groups: { anchored: ['sql'], other: 'rest', noise: ['noise'] },
    targets: ['sql'],
    output_dir: 'runs/study',
    ...more,
  })

const SOURCES = ['sql', 'a', 'b', 'noise']

/** A cell with bits per byte in the order of {@link SOURCES}. */
function cell(
  arm: string,
  seed: number,
  values: readonly number[],
  more: Partial<CellRecord> = {},
): CellRecord {
  const cost = { flops_train: 60, flops_signal: 4, flops_preparation: 0, tokens: 10, seconds: 1 }
  return {
    schema_version: 2,
    arm,
    seed,
    hash: 'h',
    method: { preset: 'uniform' },
    steps: 4,
    bits_per_byte: Object.fromEntries(SOURCES.map((source, i) => [source, values[i]!])),
    edr: 1,
    ess_ratio: 1,
    mass_by_source: { sql: 0.2, web: 0.8 },
    uniform_mass_by_source: { sql: 0.1, web: 0.9 },
    target_mass: 0.2,
    target_share: 0.1,
    target_lift: 2,
    cost,
    cost_with_trunk: { ...cost, flops_train: 300 },
    versions: { adapt: '1' },
    finished: 'now',
    ...more,
  }
}

/** Seeds differ by far more than arms do: only the pairing shows the arms. */
const grid = (shifts: Readonly<Record<string, readonly number[]>>) =>
  Object.entries(shifts).flatMap(([arm, perSeed]) =>
    perSeed.map((shift, seed) => cell(arm, seed, [2 + seed + shift, 3 + seed, 5 + seed - shift, 7 + seed])),
  )
const SHIFTS = {
  uniform: [0, 0, 0],
  twin: [0.001, -0.002, 0.0015],
  better: [-0.02, -0.021, -0.022],
  unclear: [-0.02, 0.01, -0.004],
  tiny: [-0.0011, -0.001, -0.0012],
  oracle: [-0.04, -0.041, -0.045],
}
const compared = compareCells(study(Object.keys(SHIFTS)), grid(SHIFTS), SOURCES)
const armOf = (name: string) => compared.arms.find(({ arm }) => arm === name)!
const primary = (name: string) => armOf(name).measures[0]!.paired!

describe('compareCells', () => {
  it('pairs arms by seed and averages groups over their sources', () => {
    expect(compared.measures.map(({ name }) => name)).toEqual(['anchored', 'other', 'noise', ...SOURCES])
    expect(compared.measures[1]!.sources).toEqual(['a', 'b'])
    expect(primary('better')).toMatchObject({ seeds: [0, 1, 2], below: 3 })
    expect(primary('better').mean).toBeCloseTo(-0.021, 12)
    expect(primary('better').sd).toBeCloseTo(0.001, 12)
    expect(armOf('better').measures[0]!.mean).toBeCloseTo(3 - 0.021, 12)
    // Half of the shift of b, the other way; a does not move.
    expect(armOf('better').measures[1]!.paired!.mean).toBeCloseTo(0.0105, 12)
  })

  it('takes the floor from the twin, measure by measure', () => {
    expect(compared.measures[0]!.floor).toMatchObject({ pairs: 3 })
    expect(compared.measures[0]!.floor!.largest).toBeCloseTo(0.002, 12)
    expect(compared.measures[1]!.floor!.largest).toBeCloseTo(0.001, 12)
    expect(compared.measures[2]!.floor!.largest).toBe(0)
  })

  it('judges against floor and interval', () => {
    expect(primary('better').verdict).toBe('lower: interval excludes 0')
    expect(primary('unclear').verdict).toBe('interval includes 0')
    expect(primary('tiny').verdict).toBe('below the floor')
    expect(primary('twin').verdict).toBe('below the floor')
    expect(armOf('better').measures[1]!.paired!.verdict).toBe('higher: interval excludes 0')
  })

  it("gives the share of the oracle's gain only where the oracle gains", () => {
    expect(primary('better').headroom).toBeCloseTo(0.021 / 0.042, 12)
    expect(primary('oracle').headroom).toBeUndefined()
    // The oracle loses on the others.
    expect(armOf('better').measures[1]!.paired!.headroom).toBeUndefined()
  })

  it('compares the seeds that both arms have, and names what is missing', () => {
    const cells = grid(SHIFTS).filter(({ arm, seed }) => !(arm === 'better' && seed === 1))
    const { arms, missing, cautions } = compareCells(study(Object.keys(SHIFTS)), cells, SOURCES)
    expect(arms.find(({ arm }) => arm === 'better')!.measures[0]!.paired!.seeds).toEqual([0, 2])
    expect(missing).toEqual([{ arm: 'better', seed: 1 }])
    expect(cautions.join('\n')).toContain('1 of 18 cells are not finished')
  })

  it('claims nothing from one seed, and says so', () => {
    const one = compareCells(study(Object.keys(SHIFTS), { seeds: [0] }), grid(SHIFTS), SOURCES)
    const verdicts = one.arms.flatMap(({ measures }) =>
      measures.flatMap(({ paired }) => paired?.verdict ?? []),
    )
    expect(new Set(verdicts)).toEqual(new Set(['one seed: no conclusion']))
    expect(one.cautions[0]).toMatch(/^One seed/)
  })

  it('says when there is no floor and when versions were mixed', () => {
    const cells = [
      ...grid({ uniform: [0, 0, 0], better: [-0.1, -0.2] }),
      cell('better', 2, [4, 5, 7, 9], { versions: { adapt: '2' } }),
    ]
    const { cautions } = compareCells(study(['uniform', 'better']), cells, SOURCES)
    expect(cautions.join('\n')).toContain('No twin')
    expect(cautions.join('\n')).toContain('different versions')
  })

  it('says when cells were computed on different devices; records that do not say count as any', () => {
    const on = (...devices: (string | undefined)[]) => {
      const cells = devices.map((device, seed) =>
        cell('uniform', seed, [4, 5, 7, 9], {
          versions: { adapt: '1', ...(device === undefined ? {} : { device }) },
        }),
      )
      return compareCells(study(['uniform', 'better']), cells, SOURCES).cautions.join('\n')
    }
    expect(on('cpu', 'NVIDIA H200')).toContain('on different devices (cpu, NVIDIA H200)')
    expect(on('cpu', 'NVIDIA H200')).not.toContain('different versions')
    expect(on('cpu', undefined, 'cpu')).not.toContain('different')
  })

  it('can be asked before anything is finished', () => {
    const empty = compareCells(study(['uniform', 'better']), [], SOURCES)
    expect(empty.arms).toEqual([])
    expect(comparisonTables(empty).length).toBeGreaterThan(0)
  })
})

describe('the outputs', () => {
  it('show the same figures as text', () => {
    const [anchored, , , sources, costs] = comparisonTables(compared)
    expect(anchored!.about).toBe(
      'Difference to uniform, paired by seed. Floor: 0.00200 (largest of 3 twin differences, sd 0.00189).',
    )
    expect(anchored!.rows.find(([arm]) => arm === 'better')).toEqual([
      ...['better', '2.9790', '-0.0210', '[-0.0235, -0.0185]', '3 of 3', '0.250', '0.00326', '50 %'],
      'lower: interval excludes 0',
    ])
    expect(sources!.rows.map(([source]) => source)).toEqual(SOURCES)
    expect(costs!.rows[0]).toContain('6.00e1 (3.00e2)')
  })

  it('give CSV with a row per cell and source and one per difference', () => {
    const lines = renderCsv(compared, grid(SHIFTS)).trimEnd().split('\n')
    expect(lines).toHaveLength(1 + 18 * 4 + 5 * 7)
    const [header, first] = lines.map((line) => line.split(','))
    expect(header!.length).toBe(first!.length)
    expect(lines.find((line) => line.startsWith('cell,better,1,sql'))).toMatch(
      /^cell,better,1,sql,2\.979,-0\.02\d+,/,
    )
    expect(lines.find((line) => line.startsWith('group-difference,better,,anchored'))).toContain('excludes 0')
  })

  it('give JSON that says null where there is no figure', () => {
    const one = compareCells(study(['uniform', 'better'], { seeds: [0] }), grid(SHIFTS), SOURCES)
    const json = JSON.parse(renderJson(one, [])) as typeof compared
    expect(json.arms[1]!.measures[0]!.paired).toMatchObject({ sd: null, verdict: 'one seed: no conclusion' })
  })

  it('keep names from becoming markup', () => {
    const evil = '<img src=x>|*a*'
    const cells = grid({ uniform: [0, 0], better: [-0.1, -0.2] }).map((each) => ({
      ...each,
      bits_per_byte: { [evil]: each.bits_per_byte.sql! },
    }))
    const found = compareCells(study(['uniform', 'better'], { groups: {} }), cells, [evil])
    expect(renderComparisonPage(found)).not.toContain('<img')
    expect(renderMarkdown(found)).toContain('\\<img src=x\\>\\|\\*a\\*')
  })

  it('draw every arm with its interval over the floor', () => {
    const page = renderComparisonPage(compared)
    const chart = page.slice(page.indexOf('<figure'), page.indexOf('</figure>'))
    expect(chart.match(/class="interval/g)).toHaveLength(5)
    expect(chart.match(/class="ring/g)).toHaveLength(15)
    expect(chart).toContain('class="floor"')
    expect(page).not.toMatch(/NaN|undefined/)
  })
})
