#!/usr/bin/env node
// Checks the import direction: which folder and which package may import which, and how long a file may be (scripts/imports/rules.mjs).
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { findImportFaults } from './imports/import-faults.mjs'

const projectDir = path.resolve(process.argv[2] ?? path.dirname(path.dirname(fileURLToPath(import.meta.url))))
const { faults, numFiles } = findImportFaults(projectDir)
for (const fault of faults) console.error(fault)
console.log(`import direction: ${numFiles} files, ${faults.length} faults`)
if (faults.length > 0 || numFiles === 0) process.exitCode = 1
