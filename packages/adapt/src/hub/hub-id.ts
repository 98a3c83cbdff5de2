/** A model or a data set on a hub. */
export interface HubId {
  /** `org/name`. */
  readonly name: string
  /** Branch, tag or commit. Default main. */
  readonly revision: string
  /** What is kept there. Default a model. */
  readonly kind?: 'model' | 'dataset'
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}\/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$/
const REVISION = /^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$/

/** Reads `org/name` or `org/name@revision`; undefined for what can only be a path. */
export function parseHubId(text: string): HubId | undefined {
  const at = text.indexOf('@')
  const name = at < 0 ? text : text.slice(0, at)
  const revision = at < 0 ? 'main' : text.slice(at + 1)
  const hasDots =
    name.includes('..') || revision.split('/').some((part) => part === '' || part.startsWith('.'))
  if (hasDots || name.includes('--') || !NAME.test(name) || !REVISION.test(revision)) return undefined
  return { name, revision }
}

/** The id as a user writes it. */
export function formatHubId({ name, revision }: HubId): string {
  return revision === 'main' ? name : `${name}@${revision}`
}
