// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of references to the environment
/** Variables that `${NAME}` in a config may name. */
export type Environment = Readonly<Record<string, string | undefined>>

// A name is bounded: without it, many `${` and no `}` would take quadratic time.
const REFERENCE = /\$\$\{|\$\{([^}]{0,256})\}|\$\{/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * Replaces every `${NAME}` by the environment variable; `$${` stands for a literal `${`.
 *
 * @param report  called once for each reference that is malformed or not set.
 */
export function interpolate(text: string, env: Environment, report: (message: string) => void): string {
  return text.replace(REFERENCE, (reference: string, name: string | undefined) => {
    if (reference === '$${') return '${'
    if (name === undefined || !NAME.test(name)) {
      report(`expected \${NAME}, received ${reference} (write $\${ for a literal \${)`)
      return reference
    }
    const value = Object.hasOwn(env, name) ? env[name] : undefined
    if (value === undefined) report(`expected environment variable ${name} to be set, received nothing`)
    return value ?? ''
  })
}

/** The inverse for a text that must come back unchanged. */
export function escapeReferences(text: string): string {
  return text.replaceAll('${', () => '$${')
}
