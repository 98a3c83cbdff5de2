import { describe, expect, it } from 'vitest'
import { ConfigError } from '../errors.js'
import { type DataSelection, selectDataFiles } from './select-data-files.js'

function select(names: readonly string[], selection: DataSelection = {}, readme?: string): string {
  try {
    return selectDataFiles('org/set', [...names, 'README.md', '.gitattributes'], readme, selection).join(' ')
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as ConfigError).message).not.toContain('\n')
    return `${(error as ConfigError).code} ${(error as ConfigError).message}`
  }
}

const readme = (configs: string) => `---\nlicense: mit\nconfigs:\n${configs}\n---\n# A set\n`

describe('selectDataFiles without configs in the README', () => {
  const sharded = [
    'data/test-00000-of-00001.parquet',
    'data/train-00000-of-00002.parquet',
    'data/train-00001-of-00002.parquet',
  ]

  it('reads the split that shards are named for', () => {
    expect(select(sharded)).toBe('data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet')
    expect(select(sharded, { split: 'test' })).toBe('data/test-00000-of-00001.parquet')
    expect(select(['data/train_sft-00000-of-00001.parquet'])).toBe('data/train_sft-00000-of-00001.parquet')
    expect(select(sharded, { split: 'train[:10%]' })).toBe(
      'UNKNOWN_SPLIT org/set: expected split: one of "test", "train", received "train[:10%]"',
    )
  })

  it('takes no split of training for what measures, unless it is the only one', () => {
    expect(select(sharded, { defaultsToTrain: false })).toBe(
      'UNKNOWN_SPLIT org/set: expected split: one of "test", "train", received none',
    )
    expect(select(['a.jsonl'], { defaultsToTrain: false })).toBe('a.jsonl')
  })

  it.each([
    [['train.csv', 'test.csv', 'dev.csv'], 'validation', 'dev.csv'],
    [['my-training-set.jsonl', 'eval.jsonl'], 'train', 'my-training-set.jsonl'],
    [['train/a.json', 'train/b.json', 'test/a.json'], 'train', 'train/a.json train/b.json'],
    [['default/train/0000.parquet', 'default/test/0000.parquet'], 'test', 'default/test/0000.parquet'],
    [['constrained.jsonl', 'retrained.jsonl'], 'train', 'constrained.jsonl retrained.jsonl'],
    [['a.txt', 'b.parquet', 'c.parquet', 'dataset_infos.json'], 'train', 'b.parquet c.parquet'],
  ])('finds splits in names of folders and files: %j %s', (names, split, wanted) => {
    expect(select(names, { split })).toBe(wanted)
  })

  it('reads a subset from the folder of its name, and asks for one where there are several', () => {
    const names = [
      'easy/train-00000-of-00001.parquet',
      'hard/test-00000-of-00001.parquet',
      'hard/train-00000-of-00001.parquet',
    ]
    expect(select(names, { subset: 'hard' })).toBe('hard/train-00000-of-00001.parquet')
    expect(select(names)).toBe(
      'UNKNOWN_SUBSET org/set: expected subset: one of "easy", "hard", received none',
    )
    expect(select(names, { subset: 'hrad' })).toContain('one of "easy", "hard", received "hrad"')
  })

  it('says what is there instead of data', () => {
    expect(select(['set.py'])).toMatch(
      /^NO_DATA_FILES org\/set: it is made by a program \(set\.py\), which is never run; try its revision @refs/,
    )
    expect(select(['a.zip', 'b.arrow'])).toMatch(/^NO_DATA_FILES .* found "a\.zip", "b\.arrow"$/)
    expect(select([])).toMatch(/^NO_DATA_FILES .* found none$/)
  })
})

describe('selectDataFiles with configs in the README', () => {
  const names = ['data/a/train-1.jsonl', 'data/a/test.jsonl', 'data/b/x.csv', 'extra.jsonl']

  it('reads the patterns of its default and of a named one', () => {
    const text = readme(`- config_name: a
  data_files:
  - split: train
    path: data/a/train-*
  - split: test
    path: [data/a/test.jsonl, "**/x.csv"]
- config_name: b
  default: true
  data_files: ./data/b/*.csv`)
    expect(select(names, {}, text)).toBe('data/b/x.csv')
    expect(select(names, { subset: 'a' }, text)).toBe('data/a/train-1.jsonl')
    expect(select(names, { subset: 'a', split: 'test' }, text)).toBe('data/a/test.jsonl data/b/x.csv')
    expect(select(names, { subset: 'c' }, text)).toBe(
      'UNKNOWN_SUBSET org/set: expected subset: one of "a", "b", received "c"',
    )
  })

  it('infers the splits of a data_dir, and asks for one of several', () => {
    const text = readme('- config_name: a\n  data_dir: data/a\n- config_name: b\n  data_dir: data/b/')
    expect(select(names, { subset: 'a', split: 'test' }, text)).toBe('data/a/test.jsonl')
    expect(select(names, { subset: 'b' }, text)).toBe('data/b/x.csv')
    expect(select(names, {}, text)).toContain('expected subset: one of "a", "b", received none')
  })

  it.each([
    [
      '- config_name: default\n  data_files: gone/*.jsonl',
      'NO_DATA_FILES org/set: its README.md names "gone/*.jsonl"',
    ],
    [
      '- config_name: default\n  data_files: data/{a,b}/*',
      'BAD_DATA_SET org/set: expected paths with * and ?',
    ],
    ['- config_name: default\n  data_files: https://x.org/a.csv', 'BAD_DATA_SET'],
    ['- config_name: default\n  data_files: README.md', 'NO_DATA_FILES'],
    ['- [', 'BAD_DATA_SET org/set: expected YAML at the head'],
  ])('refuses what it cannot follow: %j', (configs, said) => {
    expect(select(names, {}, readme(configs))).toContain(said)
  })
})
