import { z } from 'zod'
import { anchorSchema, dataSchema } from './data-schema.js'
import { methodSchema } from './method-schema.js'
import { modelSchema } from './model-schema.js'
import { evaluationSchema, trainingSchema } from './training-schema.js'

/** Schema of a run. Keys are snake_case and named as in Hugging Face's tools where those have a name. */
export const runConfigSchema = z
  .strictObject({
    model: modelSchema,
    tokenizer: z
      .string()
      .min(1, { error: 'expected a folder' })
      .describe('Folder with tokenizer.json, relative to the folder of the config file.'),
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
export type RunConfigInput = z.input<typeof runConfigSchema>

/** JSON Schema (draft 7) of a config file, for editors and for validation from other languages. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(runConfigSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema }) => {
      // The bounds of exact integers say nothing to a reader.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
    },
  }) as Record<string, unknown>
}
