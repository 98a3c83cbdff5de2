import { describe, expect, it } from 'vitest'
import { formatDifference, formatDuration, formatNumber, type NumberFormat } from './format.js'

describe('formatNumber', () => {
  it('writes figures as people read them', () => {
    const text = (value: number, format: NumberFormat): string => formatNumber(value, format).markup
    expect(text(1.23456, 'bits')).toBe('1.2346')
    expect(text(-0.5, 'ratio')).toBe('\u22120.500')
    expect(text(0.0123, 'percent')).toBe('1.23\u202f%')
    expect(text(1234567, 'count')).toBe('1\u202f234\u202f567')
    expect(text(2.2411e19, 'flops')).toBe('2.24\u202f\u00d7\u202f10<sup>19</sup>')
    expect([0.42, 7.5, 192, 3599.7, 7500].map(formatDuration)).toEqual([
      '0.42 s',
      '7.5 s',
      '3 min 12 s',
      '1 h 00 min',
      '2 h 05 min',
    ])
    expect(text(2e-5, 'plain')).toBe('2.00\u202f\u00d7\u202f10<sup>\u22125</sup>')
    expect(text(0.1 + 0.2, 'plain')).toBe('0.3')
    expect(text(Number.NEGATIVE_INFINITY, 'bits')).toBe('\u2212Infinity')
  })

  it('gives differences a sign unless they round to zero', () => {
    expect(formatDifference(0.01, 'bits').markup).toBe('+0.0100')
    expect(formatDifference(-0.01, 'percent').markup).toBe('\u22121.00\u202f%')
    expect(formatDifference(-1e-9, 'percent').markup).toBe('0.00\u202f%')
  })
})
