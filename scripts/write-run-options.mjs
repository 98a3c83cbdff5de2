#!/usr/bin/env node
// Writes the types of the options of `train()` after the schema of a config has changed (scripts/docs/run-options.mjs).
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { RUN_OPTIONS_FILE, renderRunOptions } from './docs/run-options.mjs'

const projectDir = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
writeFileSync(path.join(projectDir, RUN_OPTIONS_FILE), await renderRunOptions(projectDir))
