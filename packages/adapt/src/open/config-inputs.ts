import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { join, parse, resolve, sep } from 'node:path'
import { modelsRead } from '../catalog/index.js'
import { shippedTemplate } from '../chat-template/shipped-templates.js'
import { dataSources, type RunConfig, resolveCacheDir, resolveConfigPath } from '../config/index.js'
import { printable, resolveSources } from '../dataset/index.js'
import { ConfigError } from '../errors.js'
import { resolveModelPath } from '../hub/index.js'
import { runTaskPaths } from './open-run-tasks.js'

/** Something that a run reads, or shares with other runs, and so must never remove. */
export interface ConfigInput {
  /** Key of the config that names it. */
  readonly key: string
  /** Absolute; a file or a folder, there or not. */
  readonly path: string
}

/** Links that are followed before a path counts as a circle. */
const MAX_LINKS = 40

/** Every file and folder that a config names to be read, and the token cache. */
export async function configInputs(config: RunConfig, baseDir: string): Promise<ConfigInput[]> {
  const { model, tokenizer, data, anchors, evaluation, training } = config
  const inputs: ConfigInput[] = []
  const add = (key: string, path: string) => inputs.push({ key, path })
  if ('path' in model) {
    add('model.path', resolveModelPath(baseDir, model.path))
    if (model.adapter !== undefined) add('model.adapter', resolveModelPath(baseDir, model.adapter))
  }
  add('tokenizer', resolveModelPath(baseDir, tokenizer))
  const { chat_template } = data
  if (
    chat_template !== undefined &&
    !/\{[{%]/.test(chat_template) &&
    shippedTemplate(chat_template) === undefined
  )
    add('data.chat_template', resolveConfigPath(baseDir, chat_template))
  for (const [key, entries] of [
    ['data.train', data.train],
    ['anchors', anchors],
    ['evaluation.sets', evaluation.sets],
  ] as const) {
    for (const source of dataSources(entries)) {
      // What matches nothing is said by who reads it.
      const files = await resolveSources([source], baseDir).catch(() => [])
      for (const { path } of files) add(key, path)
    }
  }
  // What cannot be read is said by who reads it.
  for (const path of await runTaskPaths(config, baseDir).catch(() => [])) add('evaluation.tasks', path)
  if (training.resume_from_checkpoint !== undefined)
    add('training.resume_from_checkpoint', resolveConfigPath(baseDir, training.resume_from_checkpoint))
  for (const { key, path } of modelsRead(config.method)) add(key, resolveModelPath(baseDir, path))
  add('data.cache_dir', resolveCacheDir(config, baseDir))
  return inputs
}

/**
 * Refuses a run folder that holds what the run reads: a run empties its folder and replaces what is in it. Links are followed, and
 * what a link inside the folder leads to counts too, because the link would go.
 * @param folder  Of the run, there or not.
 * @throws {ConfigError} INPUT_IN_OUTPUT.
 */
export function requireInputsOutside(folder: string, inputs: readonly ConfigInput[]): void {
  for (const { key, path } of inputs) {
    if (!holdsInput(folder, path)) continue
    const hint =
      key === 'training.resume_from_checkpoint'
        ? ', or leave the key out: an interrupted run goes on by itself'
        : ''
    throw new ConfigError(
      'INPUT_IN_OUTPUT',
      `output_dir: ${printable(folder)} holds ${key} (${printable(path)}), which the run must not remove; choose another folder${hint}`,
      { folder, key, path },
    )
  }
}

/**
 * Refuses an output file that is one of the inputs, or a file in a folder that is one, through whatever links.
 * @param option  That names the file.
 * @throws {ConfigError} INPUT_IN_OUTPUT.
 */
export function requireNoInput(option: string, file: string, inputs: readonly ConfigInput[]): void {
  const place = placesOf(file).at(-1)!
  const lost = inputs.find(({ path }) => placesWithin(path).includes(place))
  if (lost === undefined) return
  throw new ConfigError(
    'INPUT_IN_OUTPUT',
    `${option}: writing ${printable(file)} would destroy ${lost.key} (${printable(lost.path)}); choose another file`,
    { file, key: lost.key, path: lost.path },
  )
}

/** Whether a folder is an input, holds one, or holds a link to it or to one of its files. */
export function holdsInput(folder: string, input: string): boolean {
  const place = placesOf(folder).at(-1)!
  return placesWithin(input).some((one) => isWithin(one, place))
}

/** Whether one path is the other, or lies below it. Both as `placesOf` gives them. */
function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}

/** The places of a path and, when it is a folder, of the files in it: those of a model are often links. */
function placesWithin(path: string): string[] {
  const places = placesOf(path)
  const folder = places.at(-1)!
  try {
    if (!statSync(folder).isDirectory()) return places
    for (const name of readdirSync(folder)) {
      const entry = join(folder, name)
      if (statSync(entry, { throwIfNoEntry: false })?.isFile() === true) places.push(...placesOf(entry))
    }
  } catch {
    // It is not there, or may not be listed: there is nothing to lose in it.
  }
  return places
}

/** Every link that a path leads over, as the place where it lies, and at last the place it leads to. */
function placesOf(path: string): string[] {
  const links: string[] = []
  const { root } = parse(resolve(path))
  const names = (text: string) => text.slice(root.length).split(sep).filter(Boolean)
  let left = names(resolve(path))
  let at = root
  while (left.length > 0) {
    const next = join(at, left[0]!)
    const target = readLink(next)
    left = left.slice(1)
    if (target === undefined || links.length === MAX_LINKS) {
      at = next
      continue
    }
    links.push(next)
    left = [...names(resolve(at, target)), ...left]
    at = root
  }
  return [...links, at]
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
