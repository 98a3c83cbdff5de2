import { describe, expect, it } from 'vitest'
import { callsUnder, parseTrace } from './strace.mjs'

const TRACE = `7  openat(AT_FDCWD</tmp>, "/run/a.tmp", O_WRONLY|O_CREAT|O_CLOEXEC, 0666) = 18</run/a.tmp>
7  openat(AT_FDCWD</tmp>, "/run/old", O_RDONLY|O_CLOEXEC) = 19</run/old>
7  write(18</run/a.tmp>, ""..., 12)       = 12
9  write(4<anon_inode:[eventfd]>, ""..., 8 <unfinished ...>
7  write(18</run/a.tmp>, ""..., 12)       = -1 ENOSPC (No space left on device) (INJECTED)
9  <... write resumed>)                   = 8
7  rename("/run/a.tmp", "/run/a")         = 0
7  write(1</dev/pts/0>, ""..., 3)         = 3
7  write(18</run/a (deleted)>, ""..., 5 <unfinished ...>
7  +++ killed by SIGKILL +++
`

describe('parseTrace', () => {
  it('counts the calls of each name in each thread, as an injection does', () => {
    const calls = parseTrace(TRACE)
    expect(calls.map(({ pid, name, nth }) => `${pid} ${name} ${nth}`)).toEqual([
      ...[
        '7 openat 1',
        '7 openat 2',
        '7 write 1',
        '9 write 1',
        '7 write 2',
        '7 rename 1',
        '7 write 3',
        '7 write 4',
      ],
    ])
  })

  it('tells what failed, what was cut off by the end of the process, and what only was interleaved', () => {
    const calls = parseTrace(TRACE)
    expect(calls.filter(({ failed }) => failed).map(({ result }) => result)).toEqual([
      '-1 ENOSPC (No space left on device) (INJECTED)',
    ])
    expect(calls.filter(({ finished }) => !finished)).toEqual([calls.at(-1)])
    expect(calls[3].result).toBe('8')
  })
})

describe('callsUnder', () => {
  it('keeps what changes the folder: no reading opens, no other files', () => {
    const names = callsUnder(parseTrace(TRACE), '/run').map(({ name, paths }) => `${name} ${paths.join(' ')}`)
    expect(names).toEqual([
      'openat /run/a.tmp',
      'write /run/a.tmp',
      'write /run/a.tmp',
      'rename /run/a.tmp /run/a',
      'write /run/a',
    ])
  })

  it('does not take a folder whose name only begins alike', () => {
    expect(callsUnder(parseTrace('7  mkdir("/runs", 0777) = 0\n'), '/run')).toEqual([])
  })
})
