import { allKeyPaths, type JsonSchema, nearestPath, pathOfKey } from '../config/describe-issues.js'
import { keyOfForeignName, reasonForNoKey } from '../config/foreign-names.js'
import { configJsonSchema } from '../config/index.js'

/** Verbs that read a config; what is set there has no option of its own. */
const PREFIXES: Readonly<Record<string, string>> = {
  ...{ train: '', validate: '', data: '', anchors: '', estimate: '', score: '', audit: '' },
  compare: 'base.',
}

/**
 * The way to give what looks like an option of another trainer, or like a key of the config, to a verb that reads one:
 * `--learning_rate` is `--set training.learning_rate=VALUE`. Undefined where nothing fits.
 * @param isMistyped  Whether an option of the verb is spelled much like it; then only exact names count.
 */
export function optionHint(verb: string, flag: string, isMistyped: boolean): string | undefined {
  const prefix = Object.hasOwn(PREFIXES, verb) ? PREFIXES[verb] : undefined
  const name = flag.replace(/^-+/, '').replace(/=.*$/s, '').replaceAll('-', '_')
  if (prefix === undefined || name === '') return undefined
  const reason = reasonForNoKey(name)
  if (reason !== undefined) return `there is no such key: ${reason}`
  const key = findKey(name, isMistyped)
  if (key === undefined) return undefined
  const resumes = key === 'training.resume_from_checkpoint'
  return `${resumes ? 'a run that was interrupted goes on by itself with the same command; from another run: ' : ''}--set ${prefix}${key}=VALUE`
}

function findKey(name: string, isMistyped: boolean): string | undefined {
  const paths = allKeyPaths(configJsonSchema() as JsonSchema)
  return (
    pathOfKey(name, paths) ?? keyOfForeignName(name) ?? (isMistyped ? undefined : nearestPath(name, paths))
  )
}
