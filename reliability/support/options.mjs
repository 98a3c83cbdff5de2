export const USAGE = `Usage: node reliability/run.mjs [options]

Shows the reliability promises on the built command. A full run of all keeps the figures and writes docs/reliability.md.

  --sample        fewer cases of each, for every change; a few minutes on two cores
  --only LIST     numbers of promises, such as 2,3
  --jobs N        processes at a time, 2 by default
  --page          keep the figures in reliability/figures.json and write docs/reliability.md after any run
  --keep          keep the folders of checks that failed
  --help          print this`

/** @param {readonly string[]} args @param {readonly string[]} ids promises that there are */
export function parseOptions(args, ids) {
  const options = {
    mode: 'full',
    only: undefined,
    jobs: 2,
    keep: false,
    page: false,
    help: false,
    problem: undefined,
  }
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i].split(/=(.*)/s)
    const value = () => inline ?? args[++i]
    if (name === '--sample') options.mode = 'sample'
    else if (name === '--page') options.page = true
    else if (name === '--keep') options.keep = true
    else if (name === '--help' || name === '-h') options.help = true
    else if (name === '--jobs') options.jobs = Number(value())
    else if (name === '--only') options.only = (value() ?? '').split(',').map((id) => id.trim())
    else return { ...options, problem: `unknown option '${args[i]}'` }
  }
  const unknown = options.only?.find((id) => !ids.includes(id))
  if (unknown !== undefined) {
    return { ...options, problem: `no check for promise '${unknown}'; there are ${ids.join(', ')}` }
  }
  if (!Number.isInteger(options.jobs) || options.jobs < 1)
    return { ...options, problem: '--jobs needs a number' }
  return options
}
