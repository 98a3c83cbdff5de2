import { z } from 'zod'
import type { JsonSchema } from '../config/describe-issues.js'

const text = z.string()
const name = z.string().min(1)
const shots = z.int().min(0).max(10_000)

/** Keys that lm-evaluation-harness has for code or for other media: refused with the reason. */
export const REFUSED_KEYS: Readonly<Record<string, string>> = {
  process_docs: 'it is Python; write the field as a Jinja template, or prepare the data beforehand',
  process_results: 'it is Python; the metrics of metric_list are computed here',
  custom_dataset: 'it is Python; name a file, a folder or a data set of the hub in dataset_path',
  use_prompt: 'prompts of promptsource are not read; write doc_to_text and doc_to_target',
  doc_to_image: 'models for images are not read',
  doc_to_audio: 'models for audio are not read',
  unsafe_code: 'code that a model writes is not run',
  class: 'it is Python',
}

export const OUTPUT_TYPES = [
  'multiple_choice',
  'loglikelihood',
  'loglikelihood_rolling',
  'generate_until',
] as const
export type OutputType = (typeof OUTPUT_TYPES)[number]

const template = z.union([text, z.int()], { error: 'expected a field, a Jinja template or a number' })
const target = z.union([text, z.int(), z.array(text)], {
  error: 'expected a field, a Jinja template, a number or a list of texts',
})
const choices = z.union([text, z.array(text), z.record(z.string(), text)], {
  error: 'expected a field, a Jinja template, a list or a mapping of texts',
})

const metric = z.strictObject({
  metric: name,
  aggregation: name.optional(),
  higher_is_better: z.boolean().optional(),
  ignore_case: z.boolean().optional(),
  ignore_punctuation: z.boolean().optional(),
  ignore_numbers: z.boolean().optional(),
  regexes_to_ignore: z.array(text).optional(),
  /** Says nothing of a single task; files of the harness have it. */
  weight_by_size: z.boolean().optional(),
  hf_evaluate: z
    .literal(false, { error: 'expected false: metrics of other packages are not computed' })
    .optional(),
})

const filter = z.strictObject({
  name,
  filter: z.array(z.looseObject({ function: name })).min(1),
})

const generation = z.looseObject({
  until: z.union([text, z.array(text)]).optional(),
  do_sample: z.boolean().optional(),
  temperature: z.number().min(0).optional(),
  max_gen_toks: z.int().min(1).optional(),
  max_length: z.int().min(1).optional(),
})

const fewShot = z.strictObject({
  sampler: z.enum(['default', 'first_n']).optional(),
  split: name.optional(),
  samples: z.array(z.record(z.string(), z.unknown())).min(1).optional(),
  fewshot_indices: z.array(z.int().min(0)).min(1).optional(),
  doc_to_text: template.optional(),
  doc_to_target: target.optional(),
  doc_to_choice: choices.optional(),
  gen_prefix: text.optional(),
  fewshot_delimiter: text.optional(),
  target_delimiter: text.optional(),
})

const dataFiles = z.union([name, z.array(name), z.record(z.string(), z.union([name, z.array(name)]))])

/** A task as its file has it: the keys of lm-evaluation-harness. */
export const taskSchema = z.strictObject({
  task: name,
  task_alias: text.optional(),
  tag: z.union([name, z.array(name)]).optional(),
  dataset_path: name,
  dataset_name: text.nullable().optional(),
  dataset_kwargs: z
    .strictObject({
      data_files: dataFiles.optional(),
      data_dir: name.optional(),
      /** Of a data set of the hub. */
      revision: name.optional(),
      trust_remote_code: z.boolean().optional(),
    })
    .nullable()
    .optional(),
  training_split: name.nullable().optional(),
  validation_split: name.nullable().optional(),
  test_split: name.nullable().optional(),
  fewshot_split: name.nullable().optional(),
  output_type: z.enum(OUTPUT_TYPES).optional(),
  doc_to_text: template.optional(),
  doc_to_target: target.optional(),
  doc_to_choice: choices.optional(),
  description: text.optional(),
  target_delimiter: text.optional(),
  fewshot_delimiter: text.optional(),
  fewshot_config: fewShot.optional(),
  num_fewshot: shots.optional(),
  metric_list: z.array(metric).min(1).optional(),
  generation_kwargs: generation.optional(),
  repeats: z.literal(1, { error: 'expected 1: answers are not drawn several times' }).optional(),
  filter_list: z.array(filter).min(1).optional(),
  should_decontaminate: z.boolean().optional(),
  doc_to_decontamination_query: text.optional(),
  gen_prefix: text.optional(),
  metadata: z.record(z.string(), z.unknown()).nullable().optional(),
})
export type TaskFile = z.infer<typeof taskSchema>

const aggregate = z.strictObject({
  metric: name,
  aggregation: z.literal('mean', { error: 'expected "mean"' }).optional(),
  weight_by_size: z.boolean().optional(),
  filter_list: z.union([name, z.array(name)]).optional(),
})

/** A group of tasks, by their names, or as tasks written in place. */
export const groupSchema = z.strictObject({
  group: name,
  group_alias: text.nullable().optional(),
  task: z.union([name, z.array(z.union([name, z.record(z.string(), z.unknown())])).min(1)]),
  aggregate_metric_list: z
    .union([aggregate, z.array(aggregate).min(1)])
    .nullable()
    .optional(),
  metadata: z.record(z.string(), z.unknown()).nullable().optional(),
})
export type GroupFile = z.infer<typeof groupSchema>
export type AggregateMetric = z.infer<typeof aggregate>
export type MetricSettings = z.infer<typeof metric>
export type FilterSettings = z.infer<typeof filter>

/** For the names in messages. */
export const taskJsonSchema = (): JsonSchema => z.toJSONSchema(taskSchema, { io: 'input' }) as JsonSchema
export const groupJsonSchema = (): JsonSchema => z.toJSONSchema(groupSchema, { io: 'input' }) as JsonSchema
