import { dirname, resolve } from 'node:path'
import { applyOverrides } from '../config/apply-overrides.js'
import { describeIssues, type JsonSchema } from '../config/describe-issues.js'
import { type ConfigIssue, type Environment, invalidConfig, resolveConfigPath } from '../config/index.js'
import { locate, readConfigText } from '../config/load-config.js'
import { parseYaml } from '../config/parse-yaml.js'
import { printable } from '../dataset/index.js'
import { type StudyConfig, studyJsonSchema, studySchema } from './study-schema.js'

/** How a study file is read. */
export interface LoadStudyOptions {
  /** `base.KEY=VALUE` sets a key of every cell's run config, `KEY=VALUE` one of the study. */
  readonly set?: readonly string[]
  readonly env?: Environment
}

/** A checked study file, and what is needed to find and load its run configs. */
export interface Study {
  readonly config: StudyConfig
  /** The run config that cells start from. Absolute. */
  readonly basePath: string
  /** Assignments to the base config from the command line. */
  readonly baseSet: readonly string[]
  readonly env: Environment
  /** Issue of a key of the study, where it stands in the file. */
  issueAt(path: readonly PropertyKey[], message: string): ConfigIssue
}

/**
 * Reads and checks a study file.
 * @throws {ConfigError} FILE_NOT_FOUND, FILE_NOT_READABLE, FILE_TOO_LARGE, or INVALID_CONFIG with one line per problem.
 */
export async function loadStudy(path: string, options: LoadStudyOptions = {}): Promise<Study> {
  const env = options.env ?? process.env
  const text = await readConfigText(path)
  const shown = printable(path)
  const parsed = parseYaml(text, { env, label: (line, column) => `${shown}:${line}:${column}` })
  const forBase = (assignment: string) => assignment.startsWith('base.')
  const set = options.set ?? []
  const draft = applyOverrides(
    parsed,
    set.filter((assignment) => !forBase(assignment)),
    env,
  )
  if (draft.issues.length > 0 && parsed.value === undefined) throw invalidConfig(draft.issues)
  const keys = Object.keys(draft.value ?? {})
  if (!keys.includes('arms') && keys.includes('model') && keys.includes('data')) {
    const message =
      'expected a study with base, arms and seeds, received the config of a run; adapt train trains it'
    throw invalidConfig([{ where: shown, path: '', message }])
  }
  const result = studySchema.safeParse(draft.value)
  if (!result.success) {
    const described = describeIssues(result.error.issues, draft.value, () => studyJsonSchema() as JsonSchema)
    throw invalidConfig([
      ...draft.issues,
      ...described.map((issue) => locate(draft.places, issue.path, issue.at, issue.message)),
    ])
  }
  if (draft.issues.length > 0) throw invalidConfig(draft.issues)
  return {
    config: result.data,
    basePath: resolveConfigPath(dirname(resolve(path)), result.data.base),
    baseSet: set.filter(forBase).map((assignment) => assignment.slice('base.'.length)),
    env,
    issueAt: (issuePath, message) => locate(draft.places, issuePath, 'value', message),
  }
}
