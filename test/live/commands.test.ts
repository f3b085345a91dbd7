/** The commands as a user meets them: exit codes, sentences, JSON. */
import { askForCommit, openDelivery, rollback } from '#core'
import { exec } from '#kit/exec'
import { root } from '#kit/paths'
import { createProgress } from '#kit/progress'
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

const ABSENT = ['--name', 'not-there']
const SHA = '0123456789'.repeat(4)

/** What is wrong with the arguments alone is said before a stack is looked for: the one that is named is not there. */
const REFUSED: readonly [command: string, args: readonly string[], sentence: string][] = [
  ['promote', ['dev'], "Cannot promote to 'dev': it is the first environment, and follows the working tree. Run npm run local:deploy"],
  ['promote', ['stging'], "Cannot promote: there is no environment 'stging'. Did you mean 'staging'? Known: dev, staging, prod"],
  ['promote', ['staging', '--from', 'prod'], "Cannot promote to 'staging': from 'prod' that is backwards: dev → staging → prod."],
  ['promote', ['prod', '--from', 'dev'], "Cannot promote to 'prod': 'staging' lies between 'dev' and it: dev → staging → prod."],
  ['rollback', ['main'], "Cannot roll dev back to 'main': it is no id of a commit, which is 4 to 40 hexadecimal digits."],
  [
    'rollback',
    ['abcd1234', '--env', 'prd'],
    "Cannot roll back: there is no environment 'prd'. Did you mean 'prod'? Known: dev, staging, prod",
  ],
  ['prove', ['--env', 'stagin'], "Cannot prove: there is no environment 'stagin'. Did you mean 'staging'? Known: dev, staging, prod"],
  ['prove', ['hand-edit', '--env', 'staging'], "Cannot run 'hand-edit' in staging: it is a proof of dev. Add --env dev"],
  ['upgrade', [], 'Cannot upgrade: no part is named. Add --part argocd or --part kubernetes'],
  [
    'upgrade',
    ['--part', 'argcd'],
    "Cannot upgrade 'argcd': there is no such part. Did you mean 'argocd'? Parts with several: argocd, kubernetes",
  ],
  [
    'upgrade',
    ['--part', 'load', '--to', '1.9.0'],
    "Cannot upgrade 'load': one version of it alone is pinned here. Parts with several: argocd, kubernetes",
  ],
  ['upgrade', ['--part', 'kubernetes'], "Cannot upgrade 'kubernetes': no version is named. Add --to 1.36.2 or --to 1.36.3"],
  [
    'upgrade',
    ['--part', 'kubernetes', '--to', '1.37.0'],
    "Cannot upgrade 'kubernetes' to '1.37.0': that version is not pinned here. Did you mean '1.36",
  ],
  ['upgrade', ['--part', 'argocd'], "Cannot upgrade 'argocd': no version is named. Add --to 3.5.6 or --to 3.5.7"],
  [
    'upgrade',
    ['--part', 'argocd', '--to', '3.6.7'],
    "Cannot upgrade 'argocd' to '3.6.7': that version is not pinned here. Did you mean '3.5.7'?",
  ],
  ['chaos', ['--env', 'prod'], 'Cannot begin with chaos: nothing is broken on purpose in prod. Use --env dev or --env staging'],
  ['chaos', ['pod-killed', '--env', 'staging'], "Cannot run 'pod-killed' in staging: it is an experiment of dev. Add --env dev"],
  // Only now the stack.
  [
    'upgrade',
    ['--part', 'argocd', '--to', '3.5.6', '--dry-run'],
    "Cannot upgrade 'argocd': no cluster 'not-there' runs. Run npm run local:up",
  ],
  ['promote', ['staging'], "Cannot promote to 'staging': no cluster 'not-there' runs. Run npm run local:up"],
  ['chaos', ['--dry-run'], "Cannot start a run: no cluster 'not-there' runs. Run npm run local:up"],
  ['local-snapshot', [], "Cannot take a snapshot: no cluster 'not-there' runs. Run npm run local:up"],
  ['local-restore', [], "Cannot restore 'not-there': there is no snapshot 'latest' of it. Take one with npm run local:snapshot"],
  ['rollback', [SHA], "Cannot roll dev back: no cluster 'not-there' runs. Run npm run local:up"],
]

for (const [command, args, sentence] of REFUSED) {
  test(
    `${command} ${args.join(' ')} is 2 with one sentence`,
    async () => {
      const { code, stderr } = await run(command, ...args, ...ABSENT)
      assert.is(code, 2, stderr)
      assert.ok(stderr.includes(sentence), stderr)
      assert.is(stderr.trimEnd().split('\n').length, 1)
    },
    { timeoutMs: 30_000 },
  )
}

// What the commands do once they have the cluster's lock, which whoever runs these tests may hold.
const CANNOT = { name: clusterName, what: 'Cannot deliver' }

test(
  'rollback refuses a commit that nobody knows, and the one that runs',
  async ({ signal }) => {
    using progress = createProgress()
    await using delivery = await openDelivery(stack, { ...CANNOT, progress, signal })
    const back = async (sha: string) => rollback(delivery, await askForCommit(stack.source, sha, 'dev'), { revert: false })
    await assert.rejects(back(SHA), 'neither your repository nor the last 200 commits of deploy have such a commit')
    const { sha = '' } = await (await delivery.git()).readDeploy()
    await assert.rejects(back(sha), /dev runs its image sha256:[0-9a-f]{12} already\. Name an earlier commit/)
  },
  { timeoutMs: 60_000 },
)

test.run()
