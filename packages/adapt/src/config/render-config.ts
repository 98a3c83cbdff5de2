import { Document, isScalar, visit } from 'yaml'
import { escapeReferences } from './interpolate.js'
import type { RunConfig } from './run-config.js'

/**
 * The config with every default written out, as YAML that `loadConfig` reads back to the same value. Texts that
 * other YAML versions would read differently are quoted, and `${` is escaped.
 */
export function renderResolvedConfig(config: RunConfig): string {
  const document = new Document(config, {
    version: '1.2',
    schema: 'core',
    compat: 'yaml-1.1',
    aliasDuplicateObjects: false,
  })
  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || !isScalar(node) || typeof node.value !== 'string') return
      node.value = escapeReferences(node.value)
    },
  })
  return document.toString({ lineWidth: 0 })
}
