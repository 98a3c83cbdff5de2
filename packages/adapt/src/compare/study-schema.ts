import { z } from 'zod'
import { methodSchema } from '../config/method-schema.js'
import { suggestName } from '../method/nearest-name.js'
import { realNumber, wholeNumber } from '../method/number-ranges.js'

/** Arms are names of files too. */
const ARM_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Keys that belong to the study, so that arms stay comparable; with why. */
const OWN_KEYS: Readonly<Record<string, string>> = {
  method: 'write method: beside set:',
  output_dir: 'every cell has a folder of its own in the study',
  'training.seed': 'seeds: gives every arm the same seeds',
  'training.resume_from_checkpoint': 'trunk: decides where a cell starts',
  'training.device': 'all arms run on one device, that of the base config',
}
/** What a branch must share with its trunk. */
const TRUNK_KEYS =
  /^(model|tokenizer|data|training\.(max_steps|num_train_epochs|lr_scheduler_type|decay_ratio|warmup_ratio|warmup_steps|per_device_train_batch_size|gradient_accumulation_steps|dataloader_drop_last))(\.|$)/

const armSchema = z.strictObject({
  method: z.exactOptional(methodSchema),
  set: z
    .exactOptional(z.record(z.string(), z.unknown()))
    .describe('Keys of the run config by their dotted names, e.g. training.learning_rate: 1.0e-3.'),
  oracle: z
    .exactOptional(z.boolean())
    .describe('Its difference is the headroom. Default: true for an arm named oracle.'),
  twin: z
    .exactOptional(z.boolean())
    .describe('Its differences are the noise floor. Default: true for an arm named twin.'),
})

const trunkSchema = z.strictObject({
  share: realNumber({ above: 0, below: 1 })
    .default(0.8)
    .describe('Share of the steps, at a constant rate, that all arms of a seed have in common.'),
  method: methodSchema.prefault('uniform'),
})

/** Schema of a study file: a grid of arms and seeds over one run config. */
export const studySchema = z
  .strictObject({
    base: z
      .string()
      .min(1, { error: 'expected a file' })
      .describe('Run config that every cell starts from, relative to the study file.'),
    seeds: z
      .array(wholeNumber({ min: 0 }))
      .min(1)
      .describe('Values of training.seed; they pair the arms.'),
    trunk: z.exactOptional(trunkSchema),
    baseline: z.string().describe('Arm that the others are compared with.'),
    arms: z.record(z.string(), armSchema).describe('What is compared, by name.'),
    groups: z
      .record(z.string().min(1), z.union([z.array(z.string().min(1)).min(1), z.literal('rest')]))
      .default({})
      .describe('Evaluation sources that are averaged, by name of the group; the first is the primary one.'),
    targets: z
      .array(z.string().min(1))
      .default([])
      .describe('Sources of the training data whose share of the weight is reported.'),
    output_dir: z
      .string()
      .min(1, { error: 'expected a folder' })
      .describe('Folder of the study, relative to the WORKING directory, not to the study file.'),
  })
  .superRefine((study, context) => {
    const report = (path: (string | number)[], message: string) =>
      context.addIssue({ code: 'custom', path, message })
    const names = Object.keys(study.arms)
    study.seeds.forEach((seed, i) => {
      if (study.seeds.indexOf(seed) < i)
        report(['seeds', i], `expected each seed once, received ${seed} again`)
    })
    if (names.length < 2) report(['arms'], `expected at least two arms, received ${names.length}`)
    if (!names.includes(study.baseline)) {
      report(
        ['baseline'],
        `expected the name of an arm, received "${study.baseline}"${suggestName(study.baseline, names)}`,
      )
    }
    if (Object.values(study.groups).filter((group) => group === 'rest').length > 1) {
      report(['groups'], 'expected one group of the rest, received several')
    }
    for (const role of ['oracle', 'twin'] as const) {
      const all = names.filter((name) => hasRole(role, name, study.arms[name]!))
      if (all.length > 1) report(['arms', all[1]!], `expected one ${role}, received ${all.join(' and ')}`)
      if (all.includes(study.baseline)) report(['baseline'], `expected an arm that is not the ${role}`)
    }
    for (const name of names) {
      if (!ARM_NAME.test(name)) {
        const allowed = 'letters, digits, ".", "_" and "-", at most 64 characters'
        report(['arms', name], `expected a name of ${allowed}, received "${name}"`)
      }
      for (const key of Object.keys(study.arms[name]!.set ?? {})) {
        const owner = Object.keys(OWN_KEYS).find((own) => key === own || key.startsWith(`${own}.`))
        if (owner !== undefined) {
          report(
            ['arms', name, 'set', key],
            `expected a key that an arm may set, received ${key}: ${OWN_KEYS[owner]}`,
          )
        } else if (study.trunk && TRUNK_KEYS.test(key)) {
          report(
            ['arms', name, 'set', key],
            `expected a key that may change after the trunk, received ${key}`,
          )
        }
      }
    }
  })
  .describe('A comparison of methods over seeds.')

/** A checked study with every default filled in. */
export type StudyConfig = z.output<typeof studySchema>
/** One arm: a method and further keys of the run config. */
export type ArmConfig = StudyConfig['arms'][string]

/** Whether an arm is the oracle or the twin: marked as such, else by its name. */
export function hasRole(
  role: 'oracle' | 'twin',
  name: string,
  arm: Pick<ArmConfig, 'oracle' | 'twin'>,
): boolean {
  return arm[role] ?? name === role
}

/** JSON Schema (draft 7) of a study file. */
export function studyJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(studySchema, { io: 'input', target: 'draft-7' }) as Record<string, unknown>
}
