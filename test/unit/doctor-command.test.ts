/** `npm run doctor` on this machine, and on what is told to it of one. */
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { root } from '#kit/paths'
import { ENTRIES } from '../../local/doctor/catalogue.ts'
import { assert, suite } from '../suite.ts'
import { createTree, runFile } from './tree-fixture.ts'

const test = suite('doctor-command')
const LONG = { timeoutMs: 60_000 }
/** Of a command that hangs: none of ours waits so long for it. */
const HANGS_S = 600

const doctor = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runFile(join(root, 'scripts', 'doctor.ts'), { args, env })

test(
  '--list shows all without looking, as an array with a name each',
  async () => {
    const { exitCode, output } = await doctor(['--list', '--json'], { DOCKER_HOST: 'unix:///nowhere.sock' })
    assert.is(exitCode, 0)
    assert.equal(
      (JSON.parse(output) as { name: string }[]).map(({ name }) => name),
      ENTRIES.map(({ name }) => name),
    )
  },
  LONG,
)

test(
  'a name that there is not is bad input',
  async () => {
    const { exitCode, output } = await doctor(['--only', 'egnine'])
    assert.match(output, /^Cannot look at 'egnine': there is none of that name\. Did you mean 'engine'\?/)
    assert.is(exitCode, 2)
  },
  LONG,
)

test(
  'an engine that hangs holds up nobody: it is bad, what it alone knows is unknown, and the exit code is 1',
  async () => {
    using tree = createTree()
    tree.write('docker', `#!/bin/sh\nexec sleep ${HANGS_S}\n`, 0o755)
    const env = { DOCKER_HOST: 'tcp://192.0.2.10:2376', PATH: `${tree.path}:${process.env.PATH}` }
    const { exitCode, output } = await doctor(['--only', 'engine,engine-address,cgroup,git'], env)
    const text = stripVTControlCharacters(output)
    assert.match(text, /^bad +engine-address +tcp:\/\/192\.0\.2\.10:2376/m)
    assert.match(text, /^bad +engine +'docker version .*' timed out after \d/m)
    assert.match(text, /^unknown +cgroup/m)
    assert.match(text, /^ok +git/m)
    assert.is(exitCode, 1)
  },
  LONG,
)

test.run()
