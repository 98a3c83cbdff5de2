import { describe, expect, it } from 'vitest'
import { compileChatTemplate } from './compile-chat-template.js'
import { findChatTemplate } from './find-chat-template.js'
import { turnEnd } from './turn-end.js'

const SPECIAL = { bos_token: '<s>', eos_token: '</s>' }

function endOf(configured: string): string | undefined {
  const { source, where } = findChatTemplate({ configured, baseDir: '.', tokenizerFolder: '.' })
  return turnEnd(compileChatTemplate(source, where), SPECIAL)
}

describe('turnEnd', () => {
  it.each([
    ['chatml', '<|im_end|>'],
    ['chatml-generation', '<|im_end|>'],
    ['llama-2', '</s>'],
    ['llama-3', '<|eot_id|>'],
    ['gemma', '<end_of_turn>'],
    ['phi', '<|end|>'],
    ['{% for m in messages %}{{ m.content }} {% endfor %}', undefined],
    ['{{ messages[0].content }}', undefined],
  ])('of %s is what stands behind an answer: %s', (template, end) => {
    expect(endOf(template)).toBe(end)
  })
})
