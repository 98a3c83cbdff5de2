import { relative, resolve } from 'node:path'
import { dataSources, type RunConfig } from '../config/index.js'
import { contentText, type OverlapCounts, OverlapIndex } from '../contamination/index.js'
import { type DataSource, type ResolvedFile, readDocuments } from '../dataset/index.js'
import { AdaptError } from '../errors.js'
import { resolveDataFiles } from '../hub/index.js'
import type { PreparedTask } from '../tasks/index.js'

/** What the documents of tasks share with the data of a run. */
export interface TaskOverlap {
  /** A group a task. */
  readonly anchors: readonly OverlapCounts[]
  /** The same of the training data, where it was read. */
  readonly training?: readonly OverlapCounts[]
  /**
   * Tasks of which a document shares text with an anchor, whose data set the anchors are from, or whose name (or a tag of theirs) is the task of
   * anchors.
   */
  readonly anchored: ReadonlySet<string>
}

/** Which run tasks are compared with. */
export interface TaskOverlapOptions {
  readonly config: RunConfig
  /** Where relative paths of the config start. */
  readonly baseDir: string
  /** Whether to read the training data as well: a pass over all of it. */
  readonly withTraining: boolean
  /** Gets the number of training documents that were read. */
  readonly onProgress?: (documents: number) => void
}

/**
 * Text that the documents of tasks (question and right answer) share with the anchors of a run and its training data, as `adapt anchors`
 * looks for the texts of evaluation sets.
 * @throws what `resolveDataFiles` and `readDocuments` throw.
 */
export async function findTaskOverlap(
  prepared: readonly PreparedTask[],
  { config, baseDir, withTraining, onProgress = () => {} }: TaskOverlapOptions,
): Promise<TaskOverlap> {
  const anchorSources = dataSources(config.anchors)
  const files = anchorSources.length === 0 ? [] : await resolveDataFiles(anchorSources, baseDir)
  const withAnchors = indexOf(prepared)
  const anchorTasks = new Set<string>()
  if (files.length > 0) {
    for await (const { path, line, content, source } of readDocuments(files)) {
      withAnchors.match({ place: `${path}:${line}`, text: contentText(content) })
      anchorTasks.add(source)
    }
  }
  const anchors = withAnchors.counts()
  const sharing = new Set(
    anchors.filter(({ shared, duplicates }) => shared + duplicates > 0).map(({ group }) => group),
  )
  const anchored = prepared.filter(
    ({ task }) =>
      sharing.has(task.name) ||
      [task.name, ...[task.config.tag ?? []].flat()].some((name) => anchorTasks.has(name)) ||
      isOfDataSet(task, anchorSources, files),
  )
  return {
    anchors,
    ...(withTraining ? { training: await findInTraining(prepared, config, baseDir, onProgress) } : {}),
    anchored: new Set(anchored.map(({ task }) => task.name)),
  }
}

/**
 * The tasks whose data the anchors of a run share; undefined where it has none, or where they cannot be read, which is told: marks are
 * no reason for an evaluation to end.
 */
export async function findAnchored(
  prepared: readonly PreparedTask[],
  { config, baseDir }: Pick<TaskOverlapOptions, 'config' | 'baseDir'>,
  onLine: (line: string) => void,
): Promise<TaskOverlap | undefined> {
  if (config.anchors.length === 0) return undefined
  try {
    return await findTaskOverlap(prepared, { config, baseDir, withTraining: false })
  } catch (error) {
    if (!(error instanceof AdaptError)) throw error
    onLine(`warning: no task is marked as anchored or unseen: ${error.message.split('\n')[0]}`)
    return undefined
  }
}

/** Text that the documents of tasks share with the training data: a pass over all of it. */
export async function findInTraining(
  prepared: readonly PreparedTask[],
  { data }: RunConfig,
  baseDir: string,
  onProgress: (documents: number) => void,
): Promise<readonly OverlapCounts[]> {
  const index = indexOf(prepared)
  const files = await resolveDataFiles(dataSources(data.train), baseDir)
  let documents = 0
  for await (const { path, line, content } of readDocuments(files, { maxBadRecords: data.max_bad_records })) {
    index.match({ place: `${path}:${line}`, text: contentText(content) })
    documents += 1
    if (documents % 256 === 0) onProgress(documents)
  }
  return index.counts()
}

function indexOf(prepared: readonly PreparedTask[]): OverlapIndex {
  const index = new OverlapIndex()
  for (const { task, items } of prepared) {
    for (const { document, text } of items) index.add(task.name, { place: document.where, text })
  }
  return index
}

/** Whether anchors are records of the data set that a task is made of, whichever split they are from. */
function isOfDataSet(
  { folder, config }: PreparedTask['task'],
  sources: readonly DataSource[],
  files: readonly ResolvedFile[],
): boolean {
  const { dataset_path: path, dataset_kwargs: kwargs } = config
  const own = kwargs?.data_files
  const places =
    own === undefined ? [path] : Object.values(typeof own === 'object' && own !== null ? own : { own }).flat()
  const base = own === undefined ? folder : resolve(folder, kwargs?.data_dir ?? '.')
  const isWithin = (file: string, place: string) => {
    const way = relative(place, file)
    return way === '' || !(way.startsWith('..') || way === file)
  }
  const withoutRevision = (name: string) => name.replace(/@.*$/, '')
  return (
    sources.some((source) => withoutRevision(source.path) === withoutRevision(path)) ||
    places.some((place) => files.some((file) => isWithin(file.path, resolve(base, String(place)))))
  )
}
