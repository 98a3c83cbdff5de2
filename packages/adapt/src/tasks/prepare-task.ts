import { printable } from '../dataset/index.js'
import { ConfigError, DataError } from '../errors.js'
import { answerText, buildPrompt, type ChatStyle, endsWithBlank, type Turn } from './build-prompt.js'
import { type Answer, DocumentFields } from './document-fields.js'
import { createSampler } from './few-shot.js'
import type { Task } from './read-task-file.js'
import { type DocumentOptions, type TaskDocument, TaskDocuments } from './task-documents.js'

/** What the model is asked. */
export type TaskRequest = {
  /** Task and document, for messages. */
  readonly where: string
} & (
  | { readonly kind: 'loglikelihood'; readonly context: string; readonly continuation: string }
  | { readonly kind: 'loglikelihood_rolling'; readonly text: string }
  | { readonly kind: 'generate_until'; readonly context: string; readonly settings: GenerationSettings }
)

/** How an answer is written. */
export interface GenerationSettings {
  /** Texts that end it. */
  readonly until: readonly string[]
  readonly maxNewTokens: number
  /** 0: always the most likely token. */
  readonly temperature: number
}

/** A document with what is asked of it and what is right. */
export interface TaskItem {
  readonly index: number
  readonly document: TaskDocument
  readonly requests: readonly TaskRequest[]
  /** The document as an example would show it: what is asked of it and the right answer, nothing before. */
  readonly text: string
  readonly answer: Answer
  readonly choices?: readonly string[]
  /** Place of the right choice, or several; undefined where the answer names none. */
  readonly gold?: readonly number[]
}

/** A task ready to be asked. */
export interface PreparedTask {
  readonly task: Task
  readonly numFewShot: number
  /** Documents of the split, before `limit`. */
  readonly numDocuments: number
  readonly items: readonly TaskItem[]
}

/** What is asked of how many documents, and in which form. */
export interface PrepareTaskOptions extends DocumentOptions {
  /** Overrides that of the task, unless it is 0 there. */
  readonly numFewShot?: number
  /** Of the draw of examples. Default 1234, as the harness. */
  readonly seed?: number
  /** Documents, or below 1 a share of them. */
  readonly limit?: number
  readonly system?: string
  readonly chat?: ChatStyle
}

/** Tokens of an answer where its task names no limit. */
const MAX_NEW_TOKENS = 256

/** Reads the documents of a task and builds what is asked of each. @throws what a file, a template or a field is refused for. */
export async function prepareTask(task: Task, options: PrepareTaskOptions = {}): Promise<PreparedTask> {
  const { config } = task
  const documents = new TaskDocuments(task, options)
  const all = await documents.evaluated()
  const numFewShot = fewShotCount(config.num_fewshot, options.numFewShot)
  const fields = new DocumentFields(task, all)
  fields.check(options.onLine ?? (() => {}))
  const builder = new ItemBuilder(task, fields, all[0]!, options)
  const sampler =
    numFewShot === 0
      ? undefined
      : createSampler(task, await documents.examples(), { count: numFewShot, seed: options.seed ?? 1234 })
  const fewShotSplit = config.fewshot_config?.split ?? config.fewshot_split ?? null
  // The document may be among its own examples where both are of one split.
  const isOneSplit = fewShotSplit === (config.test_split ?? null)
  const items = all.slice(0, countOf(options.limit, all.length)).map((document, index) => {
    const examples = sampler?.draw(isOneSplit ? document : undefined) ?? []
    return builder.build(document, index, examples)
  })
  return { task, numFewShot, numDocuments: all.length, items }
}

/** Examples before each document. A task that says 0 is made for 0. */
export function fewShotCount(ofTask: number | undefined, wanted: number | undefined): number {
  return ofTask === 0 ? 0 : (wanted ?? ofTask ?? 0)
}

function countOf(limit: number | undefined, numDocuments: number): number {
  if (limit === undefined) return numDocuments
  return limit < 1 ? Math.ceil(limit * numDocuments) : Math.floor(limit)
}

class ItemBuilder {
  private readonly outputType
  private readonly fields: DocumentFields
  /** Every choice is a text of its own, and the answer follows each. */
  private readonly hasManyTexts: boolean

  constructor(
    private readonly task: Task,
    fields: DocumentFields,
    first: TaskDocument,
    private readonly options: PrepareTaskOptions,
  ) {
    this.fields = fields
    this.outputType = task.config.output_type ?? 'generate_until'
    this.hasManyTexts =
      this.outputType !== 'loglikelihood_rolling' &&
      task.config.doc_to_choice !== undefined &&
      typeof fields.text(first) === 'number'
    if (this.outputType === 'multiple_choice' && task.config.doc_to_choice === undefined) {
      throw new ConfigError(
        'NO_CHOICES',
        `${printable(task.file)}: output_type multiple_choice: expected doc_to_choice, received none`,
      )
    }
  }

  build(document: TaskDocument, index: number, examples: readonly TaskDocument[]): TaskItem {
    const { task } = this
    const fields = this.fields
    const answer = fields.answer(document)
    const where = `${document.where}: task ${task.name}`
    if (this.outputType === 'loglikelihood_rolling') {
      const text = answerText(answer, undefined)
      return { index, document, text, answer, requests: [{ kind: 'loglikelihood_rolling', where, text }] }
    }
    const choices = task.config.doc_to_choice === undefined ? undefined : fields.choices(document)
    const contexts = this.contexts(document, choices, examples)
    const text = this.ownText(document, answer, choices)
    const item = { index, document, text, answer, ...(choices === undefined ? {} : { choices }) }
    switch (this.outputType) {
      case 'multiple_choice': {
        const gold = goldOf(this.hasManyTexts ? fields.text(document) : answer, choices!)
        return { ...item, gold, requests: this.choiceRequests(where, contexts, choices!, answer) }
      }
      case 'loglikelihood': {
        const continuation = answerText(answer, undefined)
        return { ...item, requests: [{ kind: 'loglikelihood', where, context: contexts[0]!, continuation }] }
      }
      default:
        return {
          ...item,
          requests: [{ kind: 'generate_until', where, context: contexts[0]!, settings: this.settings() }],
        }
    }
  }

  private ownText(document: TaskDocument, answer: Answer, choices: readonly string[] | undefined): string {
    const question = this.fields.text(document)
    const { target_delimiter: delimiter = ' ' } = this.task.config
    const asked = typeof question === 'number' ? (choices?.[question] ?? '') : question
    return `${asked}${delimiter}${answerText(answer, this.hasManyTexts ? undefined : choices)}`
  }

  private choiceRequests(
    where: string,
    contexts: readonly string[],
    choices: readonly string[],
    answer: Answer,
  ): TaskRequest[] {
    const delimiter = this.delimiter()
    const asked: TaskRequest[] = this.hasManyTexts
      ? contexts.map((context) => ({
          kind: 'loglikelihood',
          where,
          context,
          continuation: delimiter + answerText(answer, undefined),
        }))
      : choices.map((choice) => ({
          kind: 'loglikelihood',
          where,
          context: contexts[0]!,
          continuation: delimiter + choice,
        }))
    const withoutContext = (this.task.config.metric_list ?? []).some(
      ({ metric }) => metric === 'acc_mutual_info',
    )
    if (!withoutContext) return asked
    return [
      ...asked,
      ...choices.map((choice) => ({
        kind: 'loglikelihood' as const,
        where,
        context: '',
        continuation: delimiter + choice,
      })),
    ]
  }

  /** A chat template ends where the answer begins. */
  private delimiter(): string {
    const { target_delimiter: delimiter = ' ', gen_prefix: prefix } = this.task.config
    if (this.options.chat === undefined) return delimiter
    return prefix !== undefined && prefix !== '' && !endsWithBlank(prefix) ? delimiter : ''
  }

  private contexts(
    document: TaskDocument,
    choices: readonly string[] | undefined,
    examples: readonly TaskDocument[],
  ): string[] {
    const { task, options } = this
    const fields = this.fields
    const { config } = task
    const prefix = fields.optional(document, config.gen_prefix, 'gen_prefix')
    const parts = {
      system: options.system,
      description: fields.optional(document, config.description, 'description') ?? '',
      fewShotDelimiter: config.fewshot_delimiter ?? '\n\n',
      examples: examples.map((example) => this.example(example)),
    }
    const question = fields.text(document)
    const last = { prefix, targetDelimiter: config.target_delimiter ?? ' ', turnDelimiter: '' }
    if (this.hasManyTexts) {
      return choices!.map((choice) =>
        buildPrompt({ ...parts, last: { ...last, question: choice, targetDelimiter: '' } }, options.chat),
      )
    }
    return [buildPrompt({ ...parts, last: { ...last, question: String(question) } }, options.chat)]
  }

  private example(document: TaskDocument): Turn {
    const { task } = this
    const fields = this.fields
    const { config } = task
    const own = config.fewshot_config ?? {}
    const choices =
      (own.doc_to_choice ?? config.doc_to_choice) === undefined
        ? undefined
        : fields.choices(document, own.doc_to_choice)
    const text = fields.text(document, own.doc_to_text)
    return {
      question: typeof text === 'number' && choices !== undefined ? choices[text]! : String(text),
      answer: fields.answer(document, own.doc_to_target),
      choices: this.hasManyTexts ? undefined : choices,
      prefix: fields.optional(document, own.gen_prefix ?? config.gen_prefix, 'gen_prefix'),
      targetDelimiter: own.target_delimiter ?? config.target_delimiter ?? ' ',
      turnDelimiter: own.fewshot_delimiter ?? config.fewshot_delimiter ?? '\n\n',
    }
  }

  private settings(): GenerationSettings {
    const { generation_kwargs: given = {}, fewshot_delimiter: delimiter = '\n\n' } = this.task.config
    const { until = [delimiter], do_sample: isDrawn, temperature, max_gen_toks: maxNewTokens } = given
    const unknown = Object.keys(given).filter((key) => !KNOWN_SETTINGS.includes(key))
    if (unknown.length > 0) {
      throw new ConfigError(
        'UNKNOWN_OPTION',
        `${printable(this.task.file)}: generation_kwargs.${printable(unknown[0]!)}: expected one of ${KNOWN_SETTINGS.join(', ')}`,
      )
    }
    return {
      until: [until].flat(),
      maxNewTokens: maxNewTokens ?? MAX_NEW_TOKENS,
      temperature: isDrawn === false ? 0 : (temperature ?? (isDrawn === true ? 1 : 0)),
    }
  }
}

const KNOWN_SETTINGS = ['until', 'do_sample', 'temperature', 'max_gen_toks']

/** Places of the right choices. @throws {DataError} BAD_ANSWER for one that is none of them. */
function goldOf(answer: Answer, choices: readonly string[]): number[] {
  return [answer].flat().map((one) => (typeof one === 'number' ? one : choices.indexOf(String(one))))
}

/** Whether a document's answer is one of its choices. @throws {DataError} BAD_ANSWER */
export function requireGold({ gold, choices, document, answer }: TaskItem, task: Task): void {
  if (gold === undefined || choices === undefined) return
  if (gold.length > 0 && gold.every((place) => place >= 0 && place < choices.length)) return
  throw new DataError(
    'BAD_ANSWER',
    `${document.where}: task ${task.name}: expected an answer that is one of ${choices.length} choices or its place from 0, received ${printable(JSON.stringify(answer))}`,
    { task: task.name },
  )
}
