import { z } from 'zod'
import type { OptionProblem } from './define-method.js'
import { option } from './option-table.js'

/** Options of a part that the code of a run brings. */
export const CUSTOM_OPTIONS = {
  name: option(z.string().min(1), '', 'Name under which the code of the run brings it.'),
  options: option<Readonly<Record<string, unknown>>>(
    z.record(z.string(), z.json()),
    {},
    'What its factory is told. Default {}.',
  ),
} as const

/** A part without a name cannot be found. */
export function requireName(part: 'signal' | 'gate', name: string): readonly OptionProblem[] {
  if (name !== '') return []
  return [
    {
      key: 'name',
      message: `expected the name of a ${part} that the code of the run brings, received none`,
    },
  ]
}
