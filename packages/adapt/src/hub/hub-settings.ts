import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Variables of the environment. */
export type HubVariables = Readonly<Record<string, string | undefined>>

/** Where models are fetched from and kept, as Hugging Face's own tools read it from the environment. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string
  readonly cacheDir: string
  /** Never shown. */
  readonly token: string | undefined
  /** Nothing is asked of the network. */
  readonly isOffline: boolean
}

/**
 * Reads HF_ENDPOINT; HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME; HF_TOKEN, HF_TOKEN_PATH or the token file under HF_HOME;
 * HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE.
 */
export function hubSettings(env: HubVariables = process.env): HubSettings {
  const value = (name: string) => env[name]?.trim() || undefined
  const path = (name: string) => value(name)?.replace(/^~(?=\/|$)/, homedir())
  const isOn = (name: string) => /^(1|on|yes|true)$/i.test(value(name) ?? '')
  const home = path('HF_HOME') ?? join(path('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface')
  return {
    endpoint: (value('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    cacheDir: path('HF_HUB_CACHE') ?? path('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
    token:
      value('HF_TOKEN') ??
      value('HUGGING_FACE_HUB_TOKEN') ??
      readToken(path('HF_TOKEN_PATH') ?? join(home, 'token')),
    isOffline: isOn('HF_HUB_OFFLINE') || isOn('TRANSFORMERS_OFFLINE'),
  }
}

function readToken(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}
