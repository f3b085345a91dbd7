/** The secrets gate with the real gitleaks: what it must see, and that it never prints what it has seen. */
import { execFileSync } from 'node:child_process'
import { findSecrets, readTrufflehog } from '#kit/gate/secrets'
import { tool } from '#kit/tools'
import { assert, suite } from '../suite.ts'
import { createRepository, type Tree } from '../unit/tree-fixture.ts'

const test = suite('secrets gate')
/** Assembled, so that the gate does not find it here. */
const SECRET = ['AKIA', 'QYLPMN5HNM4OZDMF'].join('')
const LINE = `key = "${SECRET}"\n`

/** As trufflehog 3.96.0 writes it to stderr with --json. */
const LOG = `{"level":"info-0","ts":"2026-11-26T10:00:00Z","logger":"trufflehog","msg":"running source","source_manager_worker_id":"a","with_units":true}
{"level":"info-0","ts":"2026-11-26T10:00:01Z","logger":"trufflehog","msg":"finished scanning","chunks":163,"bytes":412,"verified_secrets":0,"unverified_secrets":0,"scan_duration":"1.1s","trufflehog_version":"3.96.0"}
`

test.before(() => tool('gitleaks'), { timeoutMs: 5 * 60_000 })

function git(tree: Tree, ...args: readonly string[]): void {
  execFileSync('git', ['-c', 'user.name=test', '-c', 'user.email=test@example.invalid', ...args], { cwd: tree.path, stdio: 'pipe' })
}

function commit(tree: Tree): void {
  git(tree, 'add', '--all')
  git(tree, 'commit', '--quiet', '--message', 'planted')
}

test('a repository without any commit is scanned as a tree', async () => {
  using tree = createRepository({ 'a.txt': 'nothing\n' })
  assert.equal(await findSecrets(tree.path), [])
  tree.write('deep/b.txt', `\n${LINE}`)
  const problems = await findSecrets(tree.path)
  assert.equal(problems, ['deep/b.txt:2 — holds a secret (aws-access-token) — remove it, and revoke it if it was ever real'])
})

test('what Git ignores is not scanned', async () => {
  using tree = createRepository({ '.gitignore': '.env\nbuild/\n', '.env': LINE, 'a.txt': 'nothing\n', 'build/b.txt': LINE })
  assert.equal(await findSecrets(tree.path), [])
})

test('a secret that was committed and removed is found in the history, on any branch', async () => {
  using tree = createRepository({ 'a.txt': LINE })
  commit(tree)
  tree.write('a.txt', 'nothing\n')
  commit(tree)
  git(tree, 'switch', '--quiet', '--create', 'side')
  tree.write('b.txt', LINE)
  commit(tree)
  git(tree, 'switch', '--quiet', '-')
  const problems = (await findSecrets(tree.path)).sort()
  assert.match(problems.join('\n'), /^a\.txt:1 — commit [0-9a-f]{12} holds a secret .*\nb\.txt:1 — commit [0-9a-f]{12} holds/)
  assert.is(problems.length, 2)
  assert.not.match(problems.join('\n'), SECRET)
})

test('settings that allow everything are a problem, not a clean tree', async () => {
  using tree = createRepository({ '.gitleaks.toml': "title = 'none'\n[allowlist]\nregexes = ['.*']\n", 'a.txt': LINE })
  assert.equal(await findSecrets(tree.path), ['.gitleaks.toml:1 — gitleaks does not find a planted key — mend its settings'])
})

test('a tree that Git refuses to read is an error, not a clean tree', async () => {
  using tree = createRepository({ 'a.txt': 'nothing\n' })
  commit(tree)
  tree.write('.git/HEAD', 'nonsense\n')
  await assert.rejects(findSecrets(tree.path), /not a git repository/)
})

test('what trufflehog finds is told by its place, and never shown', () => {
  const finding = {
    DetectorName: 'AWS',
    Raw: SECRET,
    SourceMetadata: { Data: { Git: { file: 'a.txt', line: 3, commit: '0123456789abcdef' } } },
  }
  assert.equal(readTrufflehog({ stdout: JSON.stringify(finding), stderr: LOG }), [
    'a.txt:3 — commit 0123456789ab holds a secret (AWS) — revoke it, then rewrite the history',
  ])
  assert.equal(readTrufflehog({ stdout: '', stderr: LOG }), [])
})

test('a trufflehog that says nothing, of nothing, or of errors has not looked', () => {
  const nothing = LOG.replace(/"chunks":\d+/, '"chunks":0')
  assert.is.not(nothing, LOG, 'nothing was planted')
  const [started = ''] = LOG.split('\n')
  for (const stderr of ['', started, nothing])
    assert.throws(() => readTrufflehog({ stdout: '', stderr }), /does not say that it has scanned/)
  const errors = JSON.stringify({ level: 'error', msg: 'encountered errors during scan', errors: ['git said no'] })
  assert.throws(() => readTrufflehog({ stdout: '', stderr: `${errors}\n${LOG}` }), /could not scan all: git said no/)
})

test.run()
