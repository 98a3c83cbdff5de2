#!/usr/bin/env node
// Writes the tables of docs/methods/README.md after a method was added or changed (scripts/docs/method-tables.mjs).
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { METHODS_PAGE, renderMethodTables } from './docs/method-tables.mjs'

const projectDir = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const page = path.join(projectDir, METHODS_PAGE)
writeFileSync(page, await renderMethodTables(projectDir, readFileSync(page, 'utf8')))
