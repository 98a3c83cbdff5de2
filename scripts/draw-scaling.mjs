#!/usr/bin/env node
// Draws docs/scaling.svg and prints the table of docs/scaling.md: how the speed of many ranks should grow, from a model of a step whose
// constants were fitted to bench:distributed (bench/results/2026-11-29.md). A projection, not a measurement.
import { writeFileSync } from 'node:fs'
import path from 'node:path'

const FLOAT32 = 4
/** Of a step's compute: what runs while gradients come. */
const BACKWARD = 2 / 3
/** Of the backward that could hide traffic what did, at 200 Mbit/s: 478 of 840 ms. */
const HIDING = 0.57
/** Of the sums: at least the last of eight buckets leaves when backward is over. */
const LAST_BUCKET = 1 / 8
/** Seconds a message; assumed, not measured. */
const LATENCY = 50e-6
/** Of a bucket, on so many ranks. */
const bucketBytes = (ranks) => Math.max(25, ranks) * 2 ** 20

/**
 * Share of N times one rank's speed that N ranks reach.
 * @param {{ parameters: number, tokens: number, flops: number, link: number }} job tokens a rank and step, FLOP/s of a rank, bits a second
 */
export function efficiency({ parameters, tokens, flops, link }, ranks) {
  if (ranks === 1) return 1
  const compute = (6 * parameters * tokens) / flops
  const half = (8 * FLOAT32 * parameters * (ranks - 1)) / ranks / link
  const hidden = Math.min(half * (1 - LAST_BUCKET), HIDING * BACKWARD * compute)
  const buckets = Math.max(8, Math.ceil((FLOAT32 * parameters) / bucketBytes(ranks)))
  const messages = 2 * buckets * (ranks - 1) * LATENCY
  return compute / (compute + 2 * half - hidden + Math.max(0, messages - hidden))
}

/** Bytes of weights, gradients, those of others and a rank's share of the moments; activations come on top. */
export const stateBytes = (parameters, ranks) => FLOAT32 * parameters * (ranks === 1 ? 4 : 3 + 2 / ranks)

const SMALL = {
  name: '8.55M, 2,048 tokens a rank, 0.1 TFLOP/s',
  parameters: 8.55e6,
  tokens: 2048,
  flops: 1e11,
}
const LARGE = {
  name: '7B, 16,384 tokens a rank, 400 TFLOP/s',
  parameters: 6.74e9,
  tokens: 16_384,
  flops: 4e14,
}
const PANELS = [
  { job: SMALL, links: [0.2, 1, 10, 100] },
  { job: LARGE, links: [10, 100, 400, 1600] },
]
const RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
const COLOURS = ['#b2182b', '#ef8a62', '#67a9cf', '#2166ac']
const [W, H, LEFT, TOP, GAP] = [290, 210, 48, 44, 120]

function panel({ job, links }, place) {
  const x0 = LEFT + place * (W + GAP)
  const x = (ranks) => x0 + (W * Math.log2(ranks)) / 10
  const y = (share) => TOP + H * (1 - share)
  const text = (at, up, words, more = '') =>
    `<text x="${at.toFixed(1)}" y="${up.toFixed(1)}" ${more}>${words}</text>`
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${x0}" x2="${x0 + W}" y1="${y(share)}" y2="${y(share)}" class="grid"/>` +
      text(x0 - 6, y(share) + 4, `${100 * share} %`, 'text-anchor="end"'),
  )
  const ticks = [1, 4, 16, 64, 256, 1024].map((ranks) =>
    text(x(ranks), TOP + H + 16, ranks, 'text-anchor="middle"'),
  )
  const series = links.map((link, i) => {
    const shares = RANKS.map((ranks) => efficiency({ ...job, link: link * 1e9 }, ranks))
    return { link, colour: COLOURS[i], shares, end: y(shares.at(-1)) }
  })
  // Names of lines that end close to each other keep apart.
  let above = Number.NEGATIVE_INFINITY
  const lines = series
    .toSorted((a, b) => a.end - b.end)
    .map(({ link, colour, shares, end }) => {
      above = Math.max(end, above + 13)
      const points = shares.map((share, i) => `${x(RANKS[i]).toFixed(1)},${y(share).toFixed(1)}`)
      return (
        `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>` +
        text(x0 + W + 4, above + 4, `${link} Gbit/s`, `fill="${colour}"`)
      )
    })
  return [
    text(x0, TOP - 22, job.name, 'class="title"'),
    ...grid,
    ...ticks,
    text(x0 + W / 2, TOP + H + 34, 'ranks', 'text-anchor="middle"'),
    ...lines,
  ].join('\n')
}

export function drawing() {
  const width = LEFT + 2 * W + GAP + 76
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${TOP + H + 46}" font-family="sans-serif" font-size="11">
<style>.grid{stroke:#ddd}.title{font-size:13px;font-weight:bold}</style>
<rect width="100%" height="100%" fill="#fff"/>
${PANELS.map(panel).join('\n')}
</svg>
`
}

export function table() {
  const rows = PANELS.flatMap(({ job, links }) =>
    links.map((link) => {
      const shares = [2, 8, 64, 1024].map(
        (ranks) => `${(100 * efficiency({ ...job, link: link * 1e9 }, ranks)).toFixed(0)} %`,
      )
      return `| ${job.name} | ${link} | ${shares.join(' | ')} |`
    }),
  )
  return ['| job | Gbit/s a rank | 2 ranks | 8 | 64 | 1,024 |', '|---|---|---|---|---|---|', ...rows].join(
    '\n',
  )
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(path.join(import.meta.dirname, '../docs/scaling.svg'), drawing())
  console.log(table())
}
