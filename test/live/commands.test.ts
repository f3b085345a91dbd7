/** The commands as a user meets them: exit codes, sentences, JSON. */
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { clusterName } from './stack.ts'

const ANY_EXIT = [0, 1, 2]
const test = suite('commands')

/** Runs a command file as its npm script does. */
async function run(command: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { exitCode, stdout, stderr } = await exec(process.execPath, ['scripts/bootstrap.mjs', command, ...args], {
    cwd: root,
    accept: ANY_EXIT,
  })
  return { code: exitCode, stdout, stderr }
}

test(
  'local:status is 0 and its JSON says Synced and Healthy of every Application',
  async () => {
    const { code, stdout } = await run('local-status', '--name', clusterName, '--json')
    const { applications, healthy } = JSON.parse(stdout) as {
      applications: { name: string; sync: string; health: string }[]
      healthy: boolean
    }
    assert.ok(applications.length >= 5)
    for (const { sync, health } of applications) assert.equal([sync, health], ['Synced', 'Healthy'])
    assert.equal([code, healthy], [0, true])
  },
  { timeoutMs: 30_000 },
)

test(
  'local:status of a cluster that is not there is 1, local:down of it is 0, local:deploy and prove are 2',
  async () => {
    const absent = ['--name', 'not-there']
    assert.is((await run('local-status', ...absent)).code, 1)
    const down = await run('local-down', ...absent)
    assert.is(down.code, 0)
    assert.match(down.stderr, /There is no cluster 'not-there': nothing to remove/)
    assert.is((await run('local-deploy', ...absent)).code, 2)
    assert.is((await run('prove', ...absent)).code, 2)
  },
  { timeoutMs: 60_000 },
)

test(
  'a second local:up is refused with the pid of the first',
  async () => {
    await using _first = await stack.clusters.local.lock('lock-test', 'local:up')
    const { code, stderr } = await run('local-up', '--name', 'lock-test')
    assert.is(code, 2)
    assert.match(stderr, new RegExp(`local:up of the cluster 'lock-test' is running \\(pid ${process.pid}\\)`))
  },
  { timeoutMs: 30_000 },
)

test(
  'prove --list --json is one array with names and mutants, and an unknown proof is answered with the nearest',
  async () => {
    const rows = JSON.parse((await run('prove', '--list', '--json')).stdout) as { name: string; mutants: string[] }[]
    assert.ok(rows.every(({ mutants }) => mutants.length >= 2))
    const unknown = await run('prove', 'hand-edti', '--name', clusterName)
    assert.is(unknown.code, 2)
    assert.match(unknown.stderr, /Did you mean 'hand-edit'\?/)
  },
  { timeoutMs: 30_000 },
)

test.run()
