import { describe, expect, it } from 'vitest'
import { parseOptions } from './options.mjs'

describe('parseOptions', () => {
  it('takes the folder of --libtorch with a space or an equals sign', () => {
    expect(parseOptions(['--libtorch', '/x']).libtorch).toBe('/x')
    expect(parseOptions(['--libtorch=/x=y', '--quiet'])).toEqual({
      libtorch: '/x=y',
      print: false,
      quiet: true,
      help: false,
    })
  })

  it('refuses an unknown option with exit code 2 and the nearest one', () => {
    const refused = (args) => {
      try {
        parseOptions(args)
      } catch (error) {
        return `${error.exitCode} ${error.message}`
      }
      return 'accepted'
    }
    expect(refused(['--libtroch=/x'])).toMatch(
      /^2 unknown option "--libtroch=\/x"; did you mean --libtorch\?/,
    )
    expect(refused(['--quit'])).toMatch(/did you mean --quiet\?/)
    expect(refused(['install-everything'])).toMatch(/^2 unknown option "install-everything" \(/)
    expect(refused(['--libtorch'])).toMatch(/^2 --libtorch: expected a folder/)
    expect(refused(['--libtorch', '--quiet'])).toMatch(/^2 --libtorch: expected a folder/)
  })
})
