import { z } from 'zod'
import { isStaticWeight, MAPPED_KEYS, STATIC_WEIGHT_RANGE } from '../dataset/index.js'
import { realNumber, wholeNumber } from '../method/number-ranges.js'

const pathText = () => z.string().min(1, { error: 'expected a path' })

const columnName = () => z.exactOptional(z.string().min(1, { error: 'expected the name of a column' }))

const columnsSchema = z
  .strictObject(
    Object.fromEntries(
      MAPPED_KEYS.map((key) => [key, columnName().describe(`Column that is read as ${key}.`)]),
    ) as {
      [Key in (typeof MAPPED_KEYS)[number]]: ReturnType<typeof columnName>
    },
  )
  .describe('Columns under other names: { prompt: question, completion: answer } reads prompt from question.')

/** What any list of data files says of an entry. */
const sourceMapping = z.strictObject({
  path: pathText().describe(
    'File, folder or glob relative to the folder of the config file (.jsonl, .json, .csv, .tsv, .txt, each also .gz or ' +
      '.zst; .parquet), or a data set on the hub: org/name or org/name@revision.',
  ),
  limit: z.exactOptional(wholeNumber({ min: 1 })).describe('Read at most this many documents.'),
  source: z
    .exactOptional(z.string().min(1))
    .describe('Name of the source. Default: the source field of a record, else the file name.'),
  source_field: z
    .exactOptional(z.string().min(1).nullable())
    .describe(
      'Column that names the source of each record. null: each file is one source, named as the file.',
    ),
  text_field: z
    .exactOptional(z.string().min(1))
    .describe('Field of a record that holds its plain text. Default: recognised from the record.'),
  messages_field: columnName().describe(
    'Column that holds the messages of a conversation. Default: messages.',
  ),
  columns: z.exactOptional(columnsSchema),
  split: z
    .exactOptional(z.string().min(1))
    .describe('Split of a data set on the hub. Default: train; for evaluation.sets the only one.'),
  subset: z
    .exactOptional(z.string().min(1))
    .describe(
      'Configuration of a data set on the hub. Default: the one that the data set calls its default.',
    ),
})

const anchorMapping = sourceMapping.extend({
  task: z
    .exactOptional(z.string().min(1))
    .describe('Task of these anchors, for method.signal.aggregate. Default: the source of each anchor.'),
})

/** One entry of `anchors`; a bare string is short for `{ path }`. */
export const anchorSchema = z
  .union([pathText().describe('Short for { path }.'), anchorMapping])
  .transform((entry) => (typeof entry === 'string' ? { path: entry } : entry))

/** One entry of `data.train`; a bare string is short for `{ path }`. */
export const trainSourceSchema = z
  .union([
    pathText().describe('Short for { path }.'),
    sourceMapping.extend({
      weight: z
        .exactOptional(
          z.number({ error: STATIC_WEIGHT_RANGE }).refine(isStaticWeight, { error: STATIC_WEIGHT_RANGE }),
        )
        .describe(
          'Multiplies the weight field of every record of this entry: 0 or 1e-9 to 1e9 (default 1). Needs no new tokenizing.',
        ),
    }),
  ])
  .transform((entry) => (typeof entry === 'string' ? { path: entry } : entry))

/** One entry of `evaluation.sets`; a bare string is short for `{ path }`. */
export const evaluationSetSchema = z
  .union([
    pathText().describe('Short for { path }.'),
    sourceMapping.extend({
      name: z
        .exactOptional(z.string().min(1))
        .describe('Name of the set in tables and files. Default: the source of each document.'),
    }),
  ])
  .transform((entry) => (typeof entry === 'string' ? { path: entry } : entry))

export const dataSchema = z
  .strictObject({
    train: z.array(trainSourceSchema).min(1).describe('Training data; every document is kept and weighted.'),
    max_length: wholeNumber({ min: 2, max: 1_048_576 })
      .default(1024)
      .describe('Longest sample in tokens; longer documents are split into pieces.'),
    packing: z
      .boolean()
      .default(true)
      .describe('Put several samples into one row; attention and positions stay separate per sample.'),
    packing_window: wholeNumber({ min: 1, max: 1_000_000 })
      .default(1024)
      .describe('Number of consecutive samples that greedy packing looks at.'),
    max_bad_records: wholeNumber({ min: 0 })
      .default(0)
      .describe(
        'Bad records of data.train that are skipped, counted and reported; one more ends the run. 0: the first does.',
      ),
    mixing: z
      .union([
        z.enum(['natural', 'stratified']),
        z
          .record(z.string().min(1), realNumber({ min: 0, max: 1e12 }))
          .describe('Shares of tokens by source, in any unit.'),
      ])
      .default('natural')
      .describe(
        'natural: one shuffle of all samples; stratified: the same samples, each source spread evenly; ' +
          '{ source: share }: these shares of the tokens, a source starts again when it is read whole.',
      ),
    cache_dir: z
      .exactOptional(pathText())
      .describe(
        'Folder of the token cache, relative to the config file. Default: .adapt-cache in the working directory.',
      ),
    allow_anchor_overlap: z
      .boolean()
      .default(false)
      .describe('Train even when half of the anchors or more stand word for word in the training data.'),
    val_set_size: z
      .exactOptional(
        z.union([realNumber({ above: 0, below: 1 }), wholeNumber({ min: 1 })], {
          error: 'expected a share in (0, 1) or a number of documents >= 1',
        }),
      )
      .describe(
        'Documents of data.train that are held out of training, as a share in (0, 1) or a number; their loss (eval_loss) ' +
          'is measured at every evaluation.',
      ),
    chat_template: z
      .exactOptional(z.string().min(1, { error: 'expected a template, a file or a name' }))
      .describe(
        'Chat template for conversations: a name (chatml, llama-3, ...), a .jinja file relative to the config file, or ' +
          'the template itself. Default: the one of the tokenizer folder.',
      ),
    assistant_only_loss: z
      .boolean()
      .default(true)
      .describe('Train on the messages of the assistant only; false: on every token of a conversation.'),
    train_on: z
      .enum(['all', 'last'])
      .default('all')
      .describe('Messages of the assistant that are trained: all of a conversation, or only its last one.'),
    completion_only_loss: z
      .boolean()
      .default(true)
      .describe('Train on the completion of a prompt and completion only; false: on the prompt too.'),
    num_workers: wholeNumber({ min: 0, max: 256 })
      .default(1)
      .describe('Worker threads that read and tokenize ahead of the step; 0 uses the main thread.'),
  })
  .describe('Training data and how it becomes rows of tokens.')
