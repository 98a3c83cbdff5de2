import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ConfigIssue, type Environment, invalidConfig, suggestName } from '../config/index.js'
import { matchSegment, printable } from '../dataset/index.js'
import { checkTask, type Group, readTaskFile, type Task, type TaskOrGroup } from './read-task-file.js'
import type { AggregateMetric } from './task-schema.js'

/** The tasks that come with the package. */
const SHIPPED = fileURLToPath(new URL('../../tasks', import.meta.url))

/** A group among the tasks that are run. */
export interface SelectedGroup {
  readonly name: string
  readonly alias: string
  /** Names of its tasks and groups, in order. */
  readonly members: readonly string[]
  /** Names of all tasks in it. */
  readonly tasks: readonly string[]
  readonly aggregates: readonly AggregateMetric[]
}

/** Tasks to run, each once, in the order in which they were asked for. */
export interface TaskSelection {
  readonly tasks: readonly Task[]
  readonly groups: readonly SelectedGroup[]
}

/** Where tasks are looked for. */
export interface FindTasksOptions {
  /** Folders with task files of one's own; before those of the package where names are equal. */
  readonly includePaths?: readonly string[]
  readonly env?: Environment
  /** Who names the tasks, for messages. Default `--tasks`. */
  readonly where?: string
}

/**
 * Tasks by name, by tag, by group, by a pattern with `*`, or by the path of a file.
 * @throws {ConfigError} INVALID_CONFIG for a name that nothing has, and what a file is refused for.
 */
export async function findTasks(
  names: readonly string[],
  { includePaths = [], env = process.env, where = '--tasks' }: FindTasksOptions = {},
): Promise<TaskSelection> {
  const index = new TaskIndex([...includePaths, SHIPPED], env)
  const tasks = new Map<string, Task>()
  const groups = new Map<string, SelectedGroup>()

  const take = async (found: TaskOrGroup, open: readonly string[]): Promise<string[]> => {
    if (found.kind === 'task') {
      const { name, file } = found.task
      const known = tasks.get(name)
      if (known !== undefined && resolve(known.file) !== resolve(file)) {
        throw wrong(
          file,
          `expected tasks of different names, received ${printable(name)} from ${printable(known.file)}, too`,
        )
      }
      tasks.set(name, known ?? found.task)
      return [name]
    }
    const { group } = found
    const known = groups.get(group.name)
    if (known !== undefined) return [...known.tasks]
    if (open.includes(group.name)) throw wrong(group.file, `group ${group.name} holds itself`)
    const members: string[] = []
    const own: string[] = []
    for (const entry of [group.config.task].flat()) {
      const within = [...open, group.name]
      if (typeof entry === 'string') {
        const isOwnFile = /\.ya?ml$/.test(entry) && !isAbsolute(entry)
        const wanted = isOwnFile ? resolve(dirname(group.file), entry) : entry
        for (const one of await index.find(wanted, group.file)) {
          members.push(one.kind === 'task' ? one.task.name : one.group.name)
          own.push(...(await take(one, within)))
        }
      } else {
        const one = await index.entry(entry, group)
        members.push(one.kind === 'task' ? one.task.name : one.group.name)
        own.push(...(await take(one, within)))
      }
    }
    const { group_alias: alias, aggregate_metric_list: aggregates } = group.config
    groups.set(group.name, {
      name: group.name,
      alias: alias ?? group.name,
      members,
      tasks: [...new Set(own)],
      aggregates: aggregates === undefined || aggregates === null ? [] : [aggregates].flat(),
    })
    return own
  }

  for (const name of names) for (const found of await index.find(name, where)) await take(found, [])
  return { tasks: [...tasks.values()], groups: [...groups.values()] }
}

/**
 * Names of all tasks, groups and tags in folders.
 * @param options.onBroken  Called with what is wrong with a file that cannot be read.
 */
export async function listTasks({
  includePaths = [],
  env = process.env,
  onBroken = () => {},
}: FindTasksOptions & { readonly onBroken?: (problem: string) => void } = {}): Promise<
  readonly { readonly name: string; readonly kind: 'task' | 'group' | 'tag'; readonly file: string }[]
> {
  const index = new TaskIndex([...includePaths, SHIPPED], env)
  const found = await index.list()
  for (const problem of index.problems()) onBroken(problem)
  return found
}

class TaskIndex {
  private readonly byName = new Map<string, TaskOrGroup>()
  private readonly byTag = new Map<string, Task[]>()

  private loading: Promise<void> | undefined

  constructor(
    private readonly folders: readonly string[],
    private readonly env: Environment,
  ) {
    for (const folder of folders) {
      if (!existsSync(folder)) throw wrong('--include-path', `no such folder: ${printable(folder)}`)
    }
  }

  /** Reads the folders, once: a task that is named by its file needs none of them. */
  private load(): Promise<void> {
    this.loading ??= this.readFolders()
    return this.loading
  }

  private async readFolders(): Promise<void> {
    for (const folder of this.folders) await this.add(folder)
  }

  /** A task file that cannot be read is no reason not to run another: it is refused where it is asked for. */
  private readonly broken = new Map<string, unknown>()
  /** Files of one folder that have the same name. */
  private readonly twice = new Map<string, readonly string[]>()

  private async add(folder: string): Promise<void> {
    const own = new Map<string, string>()
    for (const file of yamlFiles(folder)) {
      try {
        const found = await readTaskFile(file, this.env)
        const name = found.kind === 'task' ? found.task.name : found.group.name
        const first = own.get(name)
        if (first !== undefined) this.twice.set(name, [first, file])
        own.set(name, file)
        if (this.byName.has(name)) continue
        this.byName.set(name, found)
        if (found.kind === 'group') continue
        for (const tag of [found.task.config.tag ?? []].flat()) {
          this.byTag.set(tag, [...(this.byTag.get(tag) ?? []), found.task])
        }
      } catch (error) {
        this.broken.set(basename(file).replace(/\.ya?ml$/, ''), error)
      }
    }
  }

  async find(name: string, where: string): Promise<TaskOrGroup[]> {
    if (/\.ya?ml$/.test(name)) return [await readTaskFile(name, this.env)]
    await this.load()
    const found = this.byName.get(name)
    const twice = this.twice.get(name)
    if (twice !== undefined) {
      throw wrong(
        where,
        `expected one task of the name ${printable(name)}, received ${twice.map((file) => printable(file)).join(' and ')}`,
      )
    }
    if (found !== undefined) return [found]
    const tagged = this.byTag.get(name)
    if (tagged !== undefined) return tagged.map((task) => ({ kind: 'task', task }))
    if (name.includes('*')) {
      const matching = [...this.byName].filter(([one]) => matchSegment(name, one)).map(([, one]) => one)
      if (matching.length > 0) return matching
    }
    if (this.broken.has(name)) throw this.broken.get(name)
    const known = [...this.byName.keys(), ...this.byTag.keys()]
    throw wrong(
      where,
      `expected a task, group, tag or file of tasks, received ${printable(name)}${suggestName(name, known)}`,
    )
  }

  /** A task that a group writes in place, or one of the list with other keys. */
  async entry(entry: Readonly<Record<string, unknown>>, group: Group): Promise<TaskOrGroup> {
    await this.load()
    const { task: name } = entry
    const known = typeof name === 'string' ? this.byName.get(name) : undefined
    const base = known?.kind === 'task' ? known.task : undefined
    const value = { ...base?.config, ...entry }
    const locateIssue = (path: readonly PropertyKey[], _: unknown, message: string): ConfigIssue => ({
      where: printable(group.file),
      path: ['task', ...path].map(String).join('.'),
      message,
    })
    return checkTask(value, base?.file ?? group.file, locateIssue)
  }

  /** What is wrong with files that are left out. */
  problems(): readonly string[] {
    return Array.from(this.broken.values(), (error) => (error as Error).message)
  }

  async list() {
    await this.load()
    return [
      ...[...this.byName].map(([name, one]) => ({
        name,
        kind: one.kind,
        file: one.kind === 'task' ? one.task.file : one.group.file,
      })),
      ...[...this.byTag].map(([name, tasks]) => ({ name, kind: 'tag' as const, file: tasks[0]!.file })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}

/** Of a folder and those in it; files whose names begin with `_` are only included. */
function yamlFiles(folder: string): string[] {
  if (statSync(folder).isFile()) return [folder]
  return readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return yamlFiles(path)
      return /\.ya?ml$/.test(entry.name) && !entry.name.startsWith('_') ? [path] : []
    })
}

function wrong(where: string, message: string) {
  return invalidConfig([{ where: printable(where), path: '', message }])
}
