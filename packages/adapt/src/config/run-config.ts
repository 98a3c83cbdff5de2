import { z } from 'zod'
import type { MethodId, MethodInput } from '../catalog/index.js'
import { anchorSchema, dataSchema } from './data-schema.js'
import { methodSchema } from './method-schema.js'
import { modelSchema } from './model-schema.js'
import { evaluationSchema, trainingSchema } from './training-schema.js'

/** Schema of a run. Keys are snake_case and named as in Hugging Face's tools where those have a name. */
export const runConfigSchema = z
  .strictObject({
    model: modelSchema,
    tokenizer: z
      .string({
        error: ({ input }) =>
          input === undefined
            ? 'expected a folder with tokenizer.json (a model with a path brings its own)'
            : undefined,
      })
      .min(1, { error: 'expected a folder' })
      .describe(
        'Folder with tokenizer.json, relative to the config file, or a hub id. Default: that of model.path.',
      ),
    data: dataSchema,
    anchors: z
      .array(anchorSchema)
      .default([])
      .describe('A few hundred examples of what the model should become good at.'),
    method: methodSchema.prefault('adapt'),
    training: trainingSchema
      .transform((training) =>
        training.max_steps === undefined && training.num_train_epochs === undefined
          ? { ...training, num_train_epochs: 1 }
          : training,
      )
      .prefault({}),
    evaluation: evaluationSchema.prefault({}),
    output_dir: z
      .string()
      .min(1, { error: 'expected a folder' })
      .describe('Folder of the run, relative to the WORKING directory, not to the config file.'),
  })
  .describe('Configuration of a training run.')

/** A checked config with every default filled in. Paths are as written; see `resolveConfigPath`. */
export type RunConfig = z.output<typeof runConfigSchema>

/** What may be written in a config file. */
export type RunConfigInput = Omit<z.input<typeof runConfigSchema>, 'tokenizer' | 'method'> & {
  readonly tokenizer?: string
  readonly method?: MethodId | MethodInput
}

/** What is written, with the tokenizer that goes without saying: that of the model, where the model has a path. */
export function withModelTokenizer(value: unknown): unknown {
  if (!isMapping(value) || value.tokenizer !== undefined || !isMapping(value.model)) return value
  const { path } = value.model
  return typeof path === 'string' && path !== '' ? { ...value, tokenizer: path } : value
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** JSON Schema (draft 7) of a config file, for editors and for validation from other languages. */
export function configJsonSchema(): Record<string, unknown> {
  const { required, ...schema } = z.toJSONSchema(runConfigSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema }) => {
      // The bounds of exact integers say nothing to a reader.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
    },
  }) as Record<string, unknown>
  return { ...schema, required: (required as string[]).filter((key) => key !== 'tokenizer') }
}
