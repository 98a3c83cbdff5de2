import { dataSources, evaluationSources, type RunConfig } from '../config/index.js'
import { contentText, type OverlapCounts, OverlapIndex } from '../contamination/index.js'
import { type DataSource, type Document, readDocuments } from '../dataset/index.js'
import { resolveDataFiles } from '../hub/index.js'
import { findRunTasks } from '../open/index.js'
import { type PreparedTask, prepareTasks } from '../tasks/index.js'

/** What a stream of documents shares with some groups of texts. */
export interface OverlapTable {
  readonly data: 'training' | 'anchors'
  readonly documents: number
  /** `anchors`, `evaluation/` and the name of a set, or `task/` and the name of a task. */
  readonly groups: readonly OverlapCounts[]
}

/**
 * Text that training data shares with the anchors, each evaluation set and each benchmark task, and anchors with the latter two.
 * The training data is streamed; the others are held.
 */
export async function findContamination(
  config: RunConfig,
  baseDir: string,
  onProgress: (text: string) => void,
): Promise<OverlapTable[]> {
  const read = async (sources: readonly DataSource[], maxBadRecords = 0) =>
    sources.length === 0 ? [] : readDocuments(await resolveDataFiles(sources, baseDir), { maxBadRecords })
  const withTraining = new OverlapIndex()
  const withAnchors = new OverlapIndex()
  const anchors: Document[] = []
  for await (const document of await read(dataSources(config.anchors))) {
    anchors.push(document)
    withTraining.add('anchors', placed(document))
  }
  for await (const document of await read(evaluationSources(config))) {
    for (const index of [withTraining, withAnchors]) {
      index.add(`evaluation/${document.source}`, placed(document))
    }
  }
  for (const { task, items } of await readTasks(config, baseDir)) {
    for (const { document, text } of items) {
      for (const index of [withTraining, withAnchors])
        index.add(`task/${task.name}`, { place: document.where, text })
    }
  }
  let documents = 0
  for await (const document of await read(dataSources(config.data.train), config.data.max_bad_records)) {
    withTraining.match(placed(document))
    documents += 1
    if (documents % 256 === 0)
      onProgress(`comparing texts: ${documents.toLocaleString('en')} training documents`)
  }
  for (const anchor of anchors) withAnchors.match(placed(anchor))
  return [
    { data: 'training', documents, groups: withTraining.counts() },
    { data: 'anchors', documents: anchors.length, groups: withAnchors.counts() },
  ]
}

/** Documents as examples show them: question and right answer. */
async function readTasks(config: RunConfig, baseDir: string): Promise<readonly PreparedTask[]> {
  if (config.evaluation.tasks.length === 0) return []
  return await prepareTasks(await findRunTasks(config, baseDir), {
    numFewShot: 0,
    ...(config.evaluation.task_options.limit === undefined
      ? {}
      : { limit: config.evaluation.task_options.limit }),
  })
}

const placed = ({ path, line, content }: Document) => ({
  place: `${path}:${line}`,
  text: contentText(content),
})
