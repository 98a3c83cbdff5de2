import type { CommandLine } from './command-line.js'

/** Declares `adapt schema`. */
export function declareSchema({ program, io }: CommandLine): void {
  program
    .command('schema')
    .description('print the JSON Schema of a config, for editors')
    .addHelpText(
      'after',
      `
Examples:
  adapt schema > adapt.schema.json

Names and meanings then appear while a config is written, in editors with the
YAML language server, when the config begins with this line:
  # yaml-language-server: $schema=adapt.schema.json`,
    )
    .action(async () => {
      const { configJsonSchema } = await import('../../config/index.js')
      io.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
    })
}
