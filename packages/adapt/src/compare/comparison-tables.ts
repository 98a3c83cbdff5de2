import type { ComparedArm, Comparison, Measure } from './compare-cells.js'
import { taskTables } from './task-tables.js'
import { floorText, interval, NONE, number, signed, type TextTable } from './text-table.js'

/** The tables of a comparison: one for each group (each source without groups), all sources, and what the arms cost. */
export function comparisonTables(comparison: Comparison): TextTable[] {
  const groups = comparison.measures.filter(({ isGroup }) => isGroup)
  const first = groups.length > 0 ? groups : comparison.measures
  return [
    ...comparison.measures.flatMap((measure, i) =>
      first.includes(measure) ? [measureTable(comparison, measure, i)] : [],
    ),
    ...(groups.length > 0 ? [sourceTable(comparison)] : []),
    ...taskTables(comparison),
    costTable(comparison),
  ]
}

function measureTable({ arms, baseline }: Comparison, measure: Measure, place: number): TextTable {
  const { name, sources, floor } = measure
  const rows = arms.map((arm) => {
    const found = arm.measures[place]!
    const { paired } = found
    const start = [arm.arm, found.mean.toFixed(4)]
    if (!paired)
      return [
        ...start,
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        arm.role === 'baseline' ? 'baseline' : 'no common seed',
      ]
    return [
      ...start,
      signed(paired.mean),
      interval(paired),
      `${paired.below} of ${paired.seeds.length}`,
      Number.isFinite(paired.signFlipP) ? paired.signFlipP.toFixed(3) : NONE,
      Number.isFinite(paired.detectable) ? paired.detectable.toFixed(5) : NONE,
      paired.headroom === undefined ? NONE : `${(100 * paired.headroom).toFixed(0)} %`,
      paired.verdict,
    ]
  })
  const shown = measure.isGroup ? `${name} (${sources.join(', ')})` : name
  return {
    title: `${shown}: bits per byte, lower is better`,
    about: `Difference to ${baseline}, paired by seed. ${floorText(floor)}`,
    columns: [
      { heading: 'arm' },
      number('bits/byte'),
      number('difference'),
      number('95 % interval'),
      number('lower in'),
      number('sign-flip p'),
      number('detectable'),
      number('headroom'),
      { heading: 'verdict' },
    ],
    rows,
  }
}

function sourceTable({ arms, measures, baseline }: Comparison): TextTable {
  const others = arms.filter(({ role }) => role !== 'baseline')
  const cell = (arm: ComparedArm, place: number) => {
    const { paired } = arm.measures[place]!
    return paired ? `${signed(paired.mean)}${paired.verdict.endsWith('excludes 0') ? ' *' : '  '}` : NONE
  }
  return {
    title: 'Differences by source',
    about: `Mean difference to ${baseline} in bits per byte; * where it is above the floor and its interval excludes 0.`,
    columns: [{ heading: 'source' }, number('floor'), ...others.map(({ arm }) => number(arm))],
    rows: measures.flatMap(({ name, isGroup, floor }, place) =>
      isGroup ? [] : [[name, floor?.largest.toFixed(5) ?? NONE, ...others.map((arm) => cell(arm, place))]],
    ),
  }
}

function costTable({ arms, targets }: Comparison): TextTable {
  const figure = (value: number, digits: number) => (Number.isFinite(value) ? value.toFixed(digits) : NONE)
  const withTargets = targets.length > 0
  const withPreparation = arms.some((arm) => arm.flopsPreparation > 0)
  return {
    title: 'Weights and cost of a cell',
    about:
      'Means over seeds, of the steps after the trunk; in brackets with the trunk.' +
      (withTargets
        ? ` Mass: share of the weight on ${targets.join(', ')}; lift: mass by what it is with every weight 1.`
        : ''),
    columns: [
      { heading: 'arm' },
      number('seeds'),
      number('EDR'),
      number('ESS'),
      ...(withTargets ? [number('mass'), number('lift')] : []),
      number('FLOPs train'),
      number('FLOPs signal'),
      ...(withPreparation ? [number('FLOPs before'), number('FLOPs in all')] : []),
      number('tokens'),
      number('time'),
    ],
    rows: arms.map((arm) => [
      arm.arm,
      String(arm.seeds.length),
      figure(arm.edr, 3),
      figure(arm.essRatio, 3),
      ...(withTargets ? [figure(arm.targetMass, 4), figure(arm.targetLift, 2)] : []),
      flops(arm.flopsTrain, arm.flopsTrainWithTrunk),
      flops(arm.flopsSignal, arm.flopsSignalWithTrunk),
      ...(withPreparation ? [flops(arm.flopsPreparation, arm.flopsPreparation), flopsInAll(arm)] : []),
      Math.round(arm.tokens).toLocaleString('en-US'),
      `${arm.seconds.toFixed(0)} s`,
    ]),
  }
}

/** What arms of equal cost have in common: steps, signal and what was done before them. */
function flopsInAll(arm: ComparedArm): string {
  return flops(
    arm.flopsTrain + arm.flopsSignal + arm.flopsPreparation,
    arm.flopsTrainWithTrunk + arm.flopsSignalWithTrunk + arm.flopsPreparation,
  )
}

function flops(own: number, whole: number): string {
  const text = (value: number) => (value === 0 ? '0' : value.toExponential(2).replace('e+', 'e'))
  return own === whole ? text(own) : `${text(own)} (${text(whole)})`
}
