#!/usr/bin/env node
// Checks that every public name of the packages has a docstring (the rule stands in scripts/docs/doc-faults.mjs).
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { findDocFaults } from './docs/doc-faults.mjs'

const projectDir = path.resolve(process.argv[2] ?? path.dirname(path.dirname(fileURLToPath(import.meta.url))))
const indexFiles = ['torch', 'adapt'].map((name) => `packages/${name}/src/index.ts`)
const { faults, numNames } = findDocFaults(projectDir, indexFiles)
for (const fault of faults) console.error(fault)
console.log(`docstrings: ${numNames} public names, ${faults.length} faults`)
if (faults.length > 0 || numNames === 0) process.exitCode = 1
