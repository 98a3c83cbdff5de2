import { readFileSync, writeFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { Workshop } from '../../run/workshop.test.fixture.js'
import { runCli } from '../run-cli.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

describe('adapt compare', () => {
  it('never writes its result over what one of its arms reads', async () => {
    await workshop.train('base', ['training.max_steps=1'])
    const anchors = readFileSync(workshop.file('anchors.jsonl'), 'utf8')
    writeFileSync(workshop.file('other.jsonl'), anchors)
    const arms = 'arms: { one: { method: adapt }, two: { method: adapt, set: { anchors: [other.jsonl] } } }'
    const study = workshop.file('study.yaml')
    const output = `output_dir: ${JSON.stringify(workshop.file('study'))}`
    writeFileSync(study, `base: run.yaml\nbaseline: one\n${arms}\nseeds: [0]\n${output}\n`)
    let stderr = ''
    const io = {
      stdout: { write: () => {} },
      stderr: { write: (text: string) => (stderr += text) },
      env: {},
    }
    const args = ['compare', study, '--dry-run', '--json', workshop.file('other.jsonl')]
    expect(await runCli(args, io)).toBe(2)
    expect(stderr).toMatch(/^error: --json: writing .*other\.jsonl would destroy anchors /m)
    expect(readFileSync(workshop.file('other.jsonl'), 'utf8')).toBe(anchors)
  })
})
