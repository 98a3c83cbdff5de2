import { type Mixing, planMixing } from '../../batch/index.js'
import { loadConfig } from '../../config/index.js'
import { printable } from '../../dataset/index.js'
import { fetchModel } from '../../hub/index.js'
import { openTrainingData } from '../../open/index.js'
import type { TokenDataset } from '../../tokenize/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { BRACKETS, GREEN, renderSample } from '../terminal/render-sample.js'
import { formatCount, renderTable } from '../terminal/render-table.js'

export interface DataOptions {
  readonly samples: number
  readonly seed: number
  readonly color: boolean
  readonly set?: readonly string[]
}

/** `adapt data CONFIG`: what the model will be trained on. */
export async function dataCommand(path: string, options: DataOptions, io: CliIo): Promise<void> {
  const { config, baseDir } = await loadConfig(path, {
    env: io.env,
    ...(options.set === undefined ? {} : { set: options.set }),
  })
  const onLine = (line: string) => io.stderr.line(line)
  // Not the model, which nothing is done with.
  await fetchModel(baseDir, config.tokenizer, { content: 'tokenizer', onLine })
  const showsProgress = io.stderr.isTTY === true
  const { train, validation, tokenizer, warnings } = await openTrainingData(config, baseDir, {
    onLine,
    onTokenizing: ({ numDocuments, numTokens, fileNumber, numFiles }) => {
      if (!showsProgress) return
      const counts = `${formatCount(numDocuments)} documents, ${formatCount(numTokens)} tokens`
      io.stderr.redrawLine(`tokenizing file ${fileNumber}/${numFiles}: ${counts}`)
    },
  })
  if (showsProgress) io.stderr.clearLine()
  try {
    const usesColor = options.color && io.stdout.isTTY === true && !io.env.NO_COLOR
    for (const index of pickSamples(train.numSamples, options.samples, options.seed)) {
      const sample = train.sample(index)
      const place = printable(`${sample.path}:${sample.line}`)
      const counts = `${sample.tokens.length} tokens, ${train.labelCount(index)} trained`
      io.stdout.line(`--- ${printable(sample.id)}  (${printable(sample.source)}, ${place}; ${counts})`)
      io.stdout.writeStyled(`${await renderSample(sample, tokenizer, usesColor ? GREEN : BRACKETS)}\n\n`)
    }
    for (const warning of warnings) io.stderr.line(`warning: ${warning}`)
    const { mixing } = config.data
    io.stdout.write(`${renderSources(train)}\n`)
    if (typeof mixing !== 'string') io.stdout.write(`${renderMixing(train, mixing)}\n`)
    io.stdout.write(renderCounts(train))
    if (validation)
      io.stdout.write(`documents held out (val_set_size): ${formatCount(validation.numDocuments)}\n`)
  } finally {
    train.close()
  }
}

/** Distinct sample numbers in ascending order: a function of the seed alone. */
export function pickSamples(numSamples: number, count: number, seed: number): readonly number[] {
  const random = randomNumbers(seed)
  const picked = new Set<number>()
  const wanted = Math.min(count, numSamples)
  // Floyd's method: every subset of the wanted size is equally likely, without a list of all samples.
  for (let last = numSamples - wanted; last < numSamples; last++) {
    const candidate = Math.floor(random() * (last + 1))
    picked.add(picked.has(candidate) ? last : candidate)
  }
  return [...picked].sort((a, b) => a - b)
}

/** Numbers in [0, 1) from a 32-bit hash of a counter. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let x = state
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
    return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32
  }
}

/** Samples, tokens and trained tokens per source, largest share of trained tokens first. */
export function renderSources(dataset: TokenDataset): string {
  const totals = dataset.sources.map((source) => ({ source, samples: 0, tokens: 0, labels: 0 }))
  for (let i = 0; i < dataset.numSamples; i++) {
    const total = totals[dataset.sourceIndex(i)]!
    total.samples += 1
    total.tokens += dataset.length(i)
    total.labels += dataset.labelCount(i)
  }
  const share = (part: number, whole: number) => `${((100 * part) / Math.max(1, whole)).toFixed(1)}%`
  const rows = totals
    .sort((a, b) => b.labels - a.labels)
    .map(({ source, samples, tokens, labels }) => [
      printable(source, 60),
      formatCount(samples),
      formatCount(tokens),
      formatCount(labels),
      share(labels, tokens),
      share(labels, dataset.numLabels),
    ])
  const number = (heading: string) => ({ heading, isNumeric: true })
  const columns = ['samples', 'tokens', 'trained', 'of its tokens', 'of all trained'].map(number)
  return renderTable([{ heading: 'source' }, ...columns], rows)
}

/** The share of the tokens that each source has in the data and in training, largest planned share first. */
export function renderMixing(dataset: TokenDataset, mixing: Mixing): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)}%`
  const rows = [...planMixing(dataset, mixing)]
    .sort((a, b) => b.share - a.share)
    .map(({ source, naturalShare, share, passesPerEpoch }) => [
      printable(source, 60),
      percent(naturalShare),
      percent(share),
      passesPerEpoch.toFixed(2),
    ])
  const columns = ['of all tokens', 'planned', 'passes per epoch'].map((heading) => ({
    heading,
    isNumeric: true,
  }))
  return renderTable([{ heading: 'mixing' }, ...columns], rows)
}

function renderCounts(dataset: TokenDataset): string {
  const counts: readonly (readonly [string, number])[] = [
    ['documents', dataset.numDocuments],
    ['samples', dataset.numSamples],
    ['tokens', dataset.numTokens],
    ['trained tokens', dataset.numLabels],
    ['truncated samples', dataset.numTruncated],
    ['responses', dataset.numResponses],
    ['responses cut off', dataset.numLostResponses],
    ['samples without trained tokens', dataset.numUnlabelled],
    ['bad records skipped', dataset.notes.badRecords.reduce((sum, { count }) => sum + count, 0)],
  ]
  return counts.map(([name, value]) => `${name}: ${formatCount(value)}\n`).join('')
}
