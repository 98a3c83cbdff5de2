import { printable } from '../dataset/index.js'
import { AdaptError, ConfigError, ResourceError } from '../errors.js'
import { formatHubId, type HubId } from './hub-id.js'
import type { HubSettings } from './hub-settings.js'

/** What a failed request is described with. */
export interface HubRequest {
  readonly id: HubId
  /** Where the text leads as a path: it was not there. */
  readonly path: string
  readonly endpoint: string
  readonly hasToken: boolean
  /** X-Error-Code of the last answer. */
  readonly errorCode: string | undefined
}

/** One clear line for what went wrong between here and the hub. */
export function describeHubError(error: unknown, request: HubRequest): AdaptError {
  if (error instanceof AdaptError || isSystemError(error)) return error as AdaptError
  const { id, path, endpoint, hasToken, errorCode } = request
  const shown = formatHubId(id)
  const what = id.kind === 'dataset' ? 'data set' : 'model'
  const page = `${endpoint}/${id.kind === 'dataset' ? 'datasets/' : ''}${id.name}`
  const message = error instanceof Error ? error.message : String(error)
  const status =
    (error as { readonly statusCode?: unknown } | null)?.statusCode ?? /status (\d{3})/.exec(message)?.[1]
  const context = { id: shown, endpoint }
  const config = (code: string, text: string) => new ConfigError(code, text, context, { cause: error })
  if (message.includes("must start with 'hf_'"))
    return config(
      'HUB_TOKEN',
      'HF_TOKEN: expected an access token that begins with hf_, received another text',
    )
  if (errorCode === 'RevisionNotFound')
    return config('HUB_NOT_FOUND', `${shown}: ${page} has no revision "${id.revision}"`)
  if (errorCode === 'GatedRepo' || Number(status) === 403) {
    const token = hasToken ? 'with the account of your token' : 'and set HF_TOKEN'
    return config('HUB_GATED', `${shown}: access is restricted; accept its terms at ${page} ${token}`)
  }
  if (errorCode === 'RepoNotFound' || [401, 404].includes(Number(status))) {
    const token = hasToken ? 'your token gives no access to it' : 'it is private and HF_TOKEN is not set'
    return config(
      'HUB_NOT_FOUND',
      `${shown}: no folder ${printable(path)}, and no such ${what} at ${endpoint} (or ${token}); check the spelling`,
    )
  }
  const cause = (error as { readonly cause?: { readonly code?: unknown; readonly message?: unknown } } | null)
    ?.cause
  const said = printable(String(cause?.code ?? cause?.message ?? message).split('\n')[0]!, 120)
  return new ResourceError(
    'HUB_UNREACHABLE',
    `${shown}: no folder ${printable(path)}, and the ${what} cannot be fetched from ${endpoint} (${said}); the same command goes on where it stopped`,
    context,
    { cause: error },
  )
}

/** What was asked of the hub, and whether the cache has it in an older form. */
export interface FailedFetch {
  readonly id: HubId
  readonly path: string
  readonly settings: HubSettings
  readonly errorCode: string | undefined
  readonly isInCache: boolean
  readonly onLine: (line: string) => void
}

/** Warns that the cache is used where the hub cannot be reached. @throws {AdaptError} what any other failure means. */
export function useCacheInstead(cause: unknown, fetch: FailedFetch): void {
  const { id, path, settings, errorCode, isInCache, onLine } = fetch
  const { endpoint, token } = settings
  const error = describeHubError(cause, { id, path, endpoint, hasToken: token !== undefined, errorCode })
  if (!isInCache || error.code !== 'HUB_UNREACHABLE') throw error
  onLine(
    `warning: ${endpoint} cannot be reached; ${formatHubId(id)} is taken from the cache, which may be older`,
  )
}

/** Errors of the file system keep their own code. */
function isSystemError(error: unknown): boolean {
  return (
    typeof (error as NodeJS.ErrnoException | null)?.syscall === 'string' &&
    typeof (error as NodeJS.ErrnoException).path === 'string'
  )
}
