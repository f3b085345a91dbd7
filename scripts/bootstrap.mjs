// Runs a command of ours from a bare clone: installs the packages when the lock file changed, finds a Node
// that the packages accept, and hands over. Plain JavaScript without imports of ours: it runs before anything is there.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
/** The first LTS that runs our TypeScript as it is: it strips types without a warning, and knows `using`. */
const OLDEST_NODE = [24, 3]

/** Programs that are run as they are, without a command file of their own. */
const PROGRAMS = { service: join('service', 'main.ts') }

const [command = '', ...args] = process.argv.slice(2)
checkCommand(command)
installPackages()
handOver(findNode(), command, args)

function checkCommand(name) {
  const commands = readdirSync(join(root, 'scripts')).filter((file) => file.endsWith('.ts'))
  const known = [...commands.map((file) => file.slice(0, -3)), ...Object.keys(PROGRAMS)]
  if (known.includes(name)) return
  const nearest = known.map((each) => [distance(name, each), each]).sort((a, b) => a[0] - b[0])[0][1]
  fail(`Unknown command '${name}': did you mean '${nearest}'? Known: ${known.join(', ')}`, 2)
}

function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const stamp = join(root, 'node_modules', '.holdfast-lock')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  if (args.includes('--offline'))
    fail('Cannot install the packages offline: package-lock.json changed. Run the command once without --offline', 2)
  process.stderr.write('Installing the packages (package-lock.json changed) …\n')
  const started = Date.now()
  // Install scripts stay off: none of our packages needs one, and each is somebody else's code run as the user.
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  })
  if (npm.status !== 0) {
    const said = (npm.stderr || npm.error?.message || 'no output').trim().split('\n')
    const errors = said.filter((line) => /^npm error \S/.test(line)) // its last lines are only help
    const cause = (errors.length > 0 ? errors.slice(0, 5) : said.slice(-5)).join('\n')
    fail(`Cannot install the packages: npm ci failed. Check the network and the npm registry, then run this again.\n${cause}`, 1)
  }
  writeFileSync(stamp, lock)
  process.stderr.write(`Installed the packages in ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
}

function findNode() {
  if (isNewEnough(process.versions.node)) return process.execPath
  const packed = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  if (existsSync(packed)) return packed
  const wanted = OLDEST_NODE.join('.')
  return fail(
    `Node ${process.versions.node} is too old and no packed one exists for ${process.platform}-${process.arch}: install Node ${wanted} or later`,
    2,
  )
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])
}

function handOver(node, name, rest) {
  const program = PROGRAMS[name]
  const file = join(root, program ?? join('scripts', `${name}.ts`))
  // What Node compiles is kept beside the packages, and goes with them: a command starts in two thirds of the time.
  const env = { NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node'), ...process.env }
  const child = spawn(node, [file, ...rest], { env, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  // A terminal's Ctrl-C has reached the child too, and what was sent to us alone has not: nothing says which it was. A command would take
  // it for the second one, so it is told by a message; a program takes any number for one.
  const passOn = (signal) => {
    if (program !== undefined) child.kill(signal)
    else if (child.connected) child.send(signal, () => {})
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, passOn)
  child.on('error', ({ message }) => fail(`Cannot run '${name}': ${message}`, 1))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

/** Levenshtein distance: no package can be imported yet. */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}

function fail(sentence, code) {
  process.stderr.write(`${sentence}\n`)
  process.exit(code)
}
