import { SetupError } from './setup-error.mjs'

/** The text of --help. */
export const helpText = ({ usage, does }) => `Usage: ${usage}

${does}
Running it again is safe, and takes well under a second when there is nothing to do.

Options
  --libtorch DIR   use the LibTorch in DIR, now and on later runs ("auto" forgets it)
  --print          print which LibTorch would be used and why, as JSON; build nothing
  --quiet          print errors and warnings only
  --help           print this text

Environment
  LIBTORCH, LIBTORCH_INCLUDE, LIBTORCH_LIB   where LibTorch is (root, or its halves)
  LIBTORCH_USE_PYTORCH=1                     use the LibTorch inside Python's torch package
  LIBTORCH_BYPASS_VERSION_CHECK=1            try a LibTorch of another version than 1.13 or >= 2.1
  CXX, CXXFLAGS, LDFLAGS                     the C++ compiler, and flags added after ours
  ADAPT_TORCH_BUILD_DIR                      folder for the build, instead of one inside the package;
                                             must be set when the add-on is used, too

Exit codes: 0 ready, 1 the build failed, 2 wrong option, 5 something is missing on this machine.
`

const optionNames = ['--libtorch', '--print', '--quiet', '--help']

/**
 * Reads the command line.
 * @param {readonly string[]} args the arguments after the script's name
 * @throws {SetupError} exit code 2 for an unknown option or a missing value
 */
export function parseOptions(args) {
  const options = { libtorch: undefined, print: false, quiet: false, help: false }
  for (let i = 0; i < args.length; i++) {
    const [name, inlineValue] = splitOnce(args[i], '=')
    if (name === '-h' || name === '--help') options.help = true
    else if (name === '--print') options.print = true
    else if (name === '--quiet') options.quiet = true
    else if (name === '--libtorch') {
      const value = inlineValue ?? args[++i]
      if (value === undefined || value === '' || value.startsWith('--')) {
        throw new SetupError('--libtorch: expected a folder (or "auto"), received nothing', 2)
      }
      options.libtorch = value
    } else {
      const nearest = nearestOption(name)
      const hint = nearest ? `; did you mean ${nearest}?` : ''
      throw new SetupError(`unknown option ${JSON.stringify(args[i])}${hint} (--help lists the options)`, 2)
    }
  }
  return options
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

function nearestOption(name) {
  const ranked = optionNames
    .map((option) => ({ option, distance: editDistance(name, option) }))
    .sort((a, b) => a.distance - b.distance)
  return ranked[0].distance <= 4 ? ranked[0].option : undefined
}

function editDistance(a, b) {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(change, previous[j] + 1, row[j - 1] + 1))
    }
    previous = row
  }
  return previous[b.length]
}
