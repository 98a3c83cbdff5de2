import { describe, expect, it } from 'vitest'
import { editDistance, nearestName, suggestName } from './nearest-name.js'

describe('editDistance', () => {
  it('counts insertions, deletions, substitutions and swaps of neighbours as one each', () => {
    expect(editDistance('seed', 'seed')).toBe(0)
    expect(editDistance('sed', 'seed')).toBe(1)
    expect(editDistance('seeed', 'seed')).toBe(1)
    expect(editDistance('sead', 'seed')).toBe(1)
    expect(editDistance('sede', 'seed')).toBe(1)
    expect(editDistance('kitten', 'sitting')).toBe(3)
    expect(editDistance('', 'abc')).toBe(3)
  })
})

describe('nearestName', () => {
  const keys = [
    'learning_rate',
    'lr_scheduler_type',
    'per_device_train_batch_size',
    'num_train_epochs',
    'seed',
  ]

  it('finds a misspelt key', () => {
    expect(nearestName('learnig_rate', keys)).toBe('learning_rate')
    expect(nearestName('sede', keys)).toBe('seed')
  })

  it('ignores letter case and separators', () => {
    expect(nearestName('learningRate', keys)).toBe('learning_rate')
    expect(nearestName('LR-Scheduler-Type', keys)).toBe('lr_scheduler_type')
  })

  it('finds the longer key that contains the name as whole words', () => {
    expect(nearestName('batch_size', keys)).toBe('per_device_train_batch_size')
    expect(nearestName('epochs', keys)).toBe('num_train_epochs')
  })

  it('says nothing rather than something far away', () => {
    expect(nearestName('banana', keys)).toBeUndefined()
    expect(suggestName('banana', keys)).toBe('')
    expect(nearestName('', keys)).toBeUndefined()
  })
})
