import { posix } from 'node:path'
import { parse } from 'yaml'
import { compareText, isDataFile, knownFileKind, printable, READ_EXTENSIONS } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { matchPath } from './match-path.js'

/** What an entry wants of a data set. */
export interface DataSelection {
  readonly split?: string | undefined
  readonly subset?: string | undefined
  /** Whether `train` may stand in for a split that is not named. Default true. */
  readonly defaultsToTrain?: boolean | undefined
}

/** Splits by name, each with its files. */
type Splits = ReadonlyMap<string, readonly string[]>

const KEYWORDS: readonly (readonly [string, RegExp])[] = [
  ['train', /(?:^|[-._ 0-9/])(?:train|training)(?=$|[-._ 0-9/])/],
  ['validation', /(?:^|[-._ 0-9/])(?:validation|valid|dev|val)(?=$|[-._ 0-9/])/],
  ['test', /(?:^|[-._ 0-9/])(?:test|testing|eval|evaluation)(?=$|[-._ 0-9/])/],
]

/**
 * Which files of a data set are read: those that its README names for a configuration and split, else those whose names
 * say their split, as Hugging Face's `datasets` finds them.
 *
 * @param shown  The data set, for messages. @param names  All files of the repository.
 * @param readme  Its README.md. @returns Paths in the repository, sorted.
 * @throws {ConfigError} UNKNOWN_SUBSET, UNKNOWN_SPLIT, NO_DATA_FILES, BAD_DATA_SET for a README that is not understood.
 */
export function selectDataFiles(
  shown: string,
  names: readonly string[],
  readme: string | undefined,
  { split, subset, defaultsToTrain = true }: DataSelection,
): string[] {
  const files = names.filter((name) => !/(^|\/)\./.test(name)).sort(compareText)
  const refuse: Refuse = (code, problem) => {
    throw new ConfigError(code, `${printable(shown)}: ${problem}`, { id: shown })
  }
  const splits = splitsOf(files, readConfigs(readme, refuse), subset, refuse)
  const known = [...splits.keys()]
  const only = known.length === 1 ? known[0] : undefined
  const wanted = split ?? (defaultsToTrain && splits.has('train') ? 'train' : only)
  if (wanted === undefined)
    return refuse('UNKNOWN_SPLIT', `expected split: one of ${listed(known)}, received none`)
  const found = splits.get(wanted)
  if (found === undefined) {
    return refuse(
      'UNKNOWN_SPLIT',
      `expected split: one of ${listed(known)}, received "${printable(wanted, 60)}"`,
    )
  }
  return [...found]
}

type Refuse = (code: string, problem: string) => never

interface DataConfig {
  readonly config_name?: unknown
  readonly data_files?: unknown
  readonly data_dir?: unknown
  readonly default?: unknown
}

function splitsOf(
  files: readonly string[],
  configs: readonly DataConfig[],
  subset: string | undefined,
  refuse: Refuse,
): Splits {
  if (configs.length > 0) {
    const config = chooseConfig(configs, subset, refuse)
    const folder = typeof config.data_dir === 'string' ? cleanPath(config.data_dir) : ''
    const inFolder = files.filter((name) => folder === '' || name.startsWith(`${folder}/`))
    if (config.data_files === undefined) return inferSplits(inFolder, folder, files, refuse)
    return namedSplits(config.data_files, folder, files, refuse)
  }
  if (subset === undefined) {
    const folders = [...new Set(files.filter(isDataFile).map((name) => name.split('/')[0]!))]
    const areSubsets =
      folders.length > 1 && folders.every((name) => files.every((file) => file !== name) && !saysSplit(name))
    if (areSubsets && !folders.includes('data')) {
      refuse('UNKNOWN_SUBSET', `expected subset: one of ${listed(folders)}, received none`)
    }
    return inferSplits(files, '', files, refuse)
  }
  for (const folder of [subset, `data/${subset}`]) {
    const inFolder = files.filter((name) => name.startsWith(`${folder}/`))
    if (inFolder.some(isDataFile)) return inferSplits(inFolder, folder, files, refuse)
  }
  const folders = [...new Set(files.filter((name) => name.includes('/')).map((name) => name.split('/')[0]!))]
  return refuse(
    'UNKNOWN_SUBSET',
    `expected subset: one of ${listed(folders)}, received "${printable(subset, 60)}"`,
  )
}

function chooseConfig(
  configs: readonly DataConfig[],
  subset: string | undefined,
  refuse: Refuse,
): DataConfig {
  const nameOf = ({ config_name }: DataConfig) => String(config_name ?? 'default')
  const chosen =
    subset === undefined
      ? (configs.find((config) => config.default === true) ??
        configs.find((config) => nameOf(config) === 'default') ??
        (configs.length === 1 ? configs[0] : undefined))
      : configs.find((config) => nameOf(config) === subset)
  if (chosen !== undefined) return chosen
  const received = subset === undefined ? 'none' : `"${printable(subset, 60)}"`
  return refuse(
    'UNKNOWN_SUBSET',
    `expected subset: one of ${listed(configs.map(nameOf))}, received ${received}`,
  )
}

/** The configurations that the head of a README lists. */
function readConfigs(readme: string | undefined, refuse: Refuse): readonly DataConfig[] {
  const head = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---\s*(?:\r?\n|$)/.exec(readme ?? '')?.[1]
  if (head === undefined) return []
  let parsed: unknown
  try {
    parsed = parse(head, { maxAliasCount: 10 })
  } catch (error) {
    return refuse(
      'BAD_DATA_SET',
      `expected YAML at the head of its README.md: ${printable((error as Error).message.split('\n')[0]!)}`,
    )
  }
  const configs = (parsed as { readonly configs?: unknown } | null)?.configs
  if (configs === undefined || configs === null) return []
  const list = Array.isArray(configs) ? configs : [configs]
  if (!list.every((config) => typeof config === 'object' && config !== null)) {
    refuse('BAD_DATA_SET', 'expected a list of configs in its README.md')
  }
  return list as DataConfig[]
}

/** `data_files` of a README: one or more patterns for `train`, or patterns by split. */
function namedSplits(dataFiles: unknown, folder: string, files: readonly string[], refuse: Refuse): Splits {
  const items = Array.isArray(dataFiles) ? dataFiles : [dataFiles]
  const splits = new Map<string, string[]>()
  const add = (split: string, patterns: unknown): void => {
    for (const pattern of Array.isArray(patterns) ? patterns : [patterns]) {
      if (typeof pattern !== 'string' || /[[\]{}]|:\/\//.test(pattern)) {
        refuse(
          'BAD_DATA_SET',
          `expected paths with * and ? in its README.md, received ${printable(JSON.stringify(pattern), 80)}`,
        )
      }
      const full = cleanPath(folder === '' ? (pattern as string) : `${folder}/${pattern as string}`)
      const found = files.filter((name) => matchPath(full, name) || name.startsWith(`${full}/`))
      if (found.length === 0)
        refuse(
          'NO_DATA_FILES',
          `its README.md names "${printable(full, 80)}" for the split ${printable(split)}, which is not there`,
        )
      const known = splits.get(split) ?? []
      splits.set(split, [...known, ...found.filter((name) => !known.includes(name))])
    }
  }
  for (const item of items) {
    if (typeof item !== 'object' || item === null) add('train', item)
    else if ('path' in item) add(String((item as { readonly split?: unknown }).split ?? 'train'), item.path)
    else for (const [split, patterns] of Object.entries(item)) add(split, patterns)
  }
  for (const found of splits.values()) {
    const unread = found.find((name) => !isDataFile(posix.basename(name)))
    if (unread !== undefined) noData(files, [unread], refuse)
  }
  return splits
}

/** Splits by the names of files: `train-00000-of-00002`, else a folder or a name that says one, else all is `train`. */
function inferSplits(
  inFolder: readonly string[],
  folder: string,
  files: readonly string[],
  refuse: Refuse,
): Splits {
  const data = ofOneKind(inFolder.filter((name) => isDataFile(posix.basename(name))))
  if (data.length === 0) return noData(files, inFolder, refuse)
  const inner = (name: string) => (folder === '' ? name : name.slice(folder.length + 1))
  const bySplit = new Map<string, string[]>()
  const add = (split: string, name: string) => void bySplit.set(split, [...(bySplit.get(split) ?? []), name])
  const shards = data.map((name) => /^(\w+(?:\.\w+)*)-\d{5}-of-\d{5}\b/.exec(posix.basename(name))?.[1])
  if (shards.every((split) => split !== undefined)) {
    for (const [i, name] of data.entries()) add(shards[i]!, name)
    return bySplit
  }
  for (const part of [posix.dirname, posix.basename]) {
    for (const name of data) {
      for (const [split, pattern] of KEYWORDS) if (pattern.test(part(inner(name)))) add(split, name)
    }
    if (bySplit.size > 0) return bySplit
  }
  return new Map([['train', data]])
}

const saysSplit = (name: string): boolean => KEYWORDS.some(([, pattern]) => pattern.test(name))

/** Files of the kind that most are of: a table beside its description in JSON is no mixture. */
function ofOneKind(files: readonly string[]): string[] {
  const counts = new Map<string, number>()
  const kindOf = (name: string) => knownFileKind(name)!.format
  for (const name of files) counts.set(kindOf(name), (counts.get(kindOf(name)) ?? 0) + 1)
  const order = ['table', 'lines', 'csv', 'tsv', 'json', 'text']
  const [most] = [...counts].sort(([a, m], [b, n]) => n - m || order.indexOf(a) - order.indexOf(b))
  return files.filter((name) => kindOf(name) === most?.[0])
}

function noData(all: readonly string[], candidates: readonly string[], refuse: Refuse): never {
  const script = all.find((name) => /^[^/]+\.py$/.test(name))
  if (script !== undefined) {
    refuse(
      'NO_DATA_FILES',
      `it is made by a program (${printable(script)}), which is never run; try its revision @refs/convert/parquet`,
    )
  }
  const others = candidates
    .filter((name) => !/(^|\/)(README\.md|LICENSE.*|.*\.(py|md))$/i.test(name))
    .slice(0, 3)
  return refuse(
    'NO_DATA_FILES',
    `expected files ending in ${READ_EXTENSIONS}, found ${others.length === 0 ? 'none' : listed(others)}`,
  )
}

function cleanPath(path: string): string {
  return posix
    .normalize(path)
    .replace(/^(?:\.?\/)+|\/+$/g, '')
    .replace(/^\.$/, '')
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 20).map((name) => `"${printable(name, 60)}"`)
  return names.length === 0
    ? '(none)'
    : shown.join(', ') + (names.length > 20 ? `, ... (${names.length})` : '')
}
