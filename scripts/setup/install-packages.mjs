import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { lastLines, runCommand } from '../../packages/torch/setup/run-command.mjs'
import { SetupError } from '../../packages/torch/setup/setup-error.mjs'
import { contentHash, readStamp, writeWhole } from '../../packages/torch/setup/stamp.mjs'

/**
 * Installs the npm packages of package-lock.json, exactly and without their install scripts, unless they are installed.
 * @returns {Promise<boolean>} whether anything was installed
 * @throws {SetupError} exit code 5 with the end of npm's output
 */
export async function installPackages(projectDir, progress) {
  const lock = path.join(projectDir, 'package-lock.json')
  const stamp = path.join(projectDir, 'node_modules/.adapt-packages')
  const wanted = contentHash(lock)
  if (readStamp(stamp) === wanted) return false
  if (installedMatchesLock(projectDir)) {
    writeWhole(stamp, `${wanted}\n`)
    return false
  }
  progress.line('Installing npm packages: npm ci --ignore-scripts')
  await progress.timed('download', 'npm packages', async () => {
    const [program, ...args] = npmCommand()
    const { code, output } = await runCommand(program, [...args, 'ci', '--ignore-scripts'], {
      cwd: projectDir,
    })
    if (code !== 0) throw new SetupError(`npm ci --ignore-scripts failed:\n${lastLines(output)}`)
  })
  writeWhole(stamp, `${wanted}\n`)
  return true
}

/** Whether an earlier `npm install` or `npm ci`, run by hand, already put every package of the lock file in place. */
export function installedMatchesLock(projectDir) {
  const installedFile = path.join(projectDir, 'node_modules/.package-lock.json')
  if (!existsSync(installedFile)) return false
  const wanted = JSON.parse(readFileSync(path.join(projectDir, 'package-lock.json'), 'utf8')).packages
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages
  return Object.entries(wanted).every(([name, entry]) => {
    if (!name.startsWith('node_modules/')) return true
    const found = installed[name]
    // Packages for other systems are optional and stay away.
    if (found === undefined) return entry.optional === true && (entry.os ?? entry.cpu) !== undefined
    if (found.version !== entry.version || found.integrity !== entry.integrity) return false
    return existsSync(path.join(projectDir, name, 'package.json'))
  })
}

/** Under `npm run` the running npm says where it is; otherwise npm is on the path. */
function npmCommand() {
  const running = process.env.npm_execpath
  return running && /npm-cli\.[cm]?js$/.test(running) && existsSync(running)
    ? [process.execPath, running]
    : ['npm']
}
