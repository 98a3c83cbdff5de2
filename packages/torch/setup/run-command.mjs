import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import path from 'node:path'

/**
 * Runs a program without a shell and without standard input, and collects what it prints.
 * A program that cannot be started resolves with code 127 and the reason as output.
 * @returns {Promise<{ code: number, output: string }>} stdout and stderr in the order they arrived
 */
export function runCommand(program, args, { cwd, env } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks = []
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    child.on('error', (error) => resolve({ code: 127, output: error.message }))
    child.on('close', (code, signal) => {
      const output = Buffer.concat(chunks).toString('utf8')
      resolve(code === null ? { code: 1, output: `${output}\nended by ${signal}` } : { code, output })
    })
  })
}

/** The full path of an executable on PATH, or undefined. */
export function findProgram(name, env = process.env) {
  const folders = name.includes(path.sep) ? [''] : (env.PATH ?? '').split(path.delimiter)
  for (const folder of folders) {
    const file = path.join(folder, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not here; look in the next folder.
    }
  }
  return undefined
}

/** The last lines of a program's output, for error messages. */
export function lastLines(text, count = 15) {
  return text.trimEnd().split('\n').slice(-count).join('\n')
}
