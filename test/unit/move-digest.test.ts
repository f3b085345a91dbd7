/** An environment moved by a pull request: one value in each file, on top of whatever is there, and only once. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { applicationPath, moveDigestIn, valuesPath } from '#core'
import { ensurePullRequest } from '#kit/pull-request'
import { readDeploy, updateDeploy } from '../../local/git-server/deploy.ts'
import { proposeDeploy } from '../../local/git-server/propose.ts'
import { assert, suite } from '../suite.ts'
import { run, temporaryFolder } from './git-fixture.ts'
import { digest } from './platform-fixture.ts'

const test = suite('move digest')

const OF = { part: 'service', environment: 'dev' } as const
const [VALUES, APPLICATION] = [valuesPath('dev', 'service'), applicationPath('service')]
const values = (of: string) => `# Who changes this asks the team first.
image:
  digest: ${of} # moved by pull requests
replicas: 'two'   # quoted, as it was
`
const application = (of: string) => `kind: Application
spec:
  sources:
    - helm:
        valuesObject:
          replicas: 2
          image: {digest: "${of}"}
`
const files = (of: string) =>
  new Map([
    [VALUES, values(of)],
    [APPLICATION, application(of)],
    ['other.yaml', 'a:   1\n'],
  ])
const [OLD, NEW, NEWER] = [digest('a'), digest('b'), digest('c')]

test('only the digest changes: comments, quotes and spaces stay, and so does every other file', () => {
  const edited = files(OLD)
  assert.is(moveDigestIn(edited, OF, NEW), true)
  assert.equal([...edited], [...files(NEW)])
})

test('what says so already is not touched', () => {
  const edited = files(NEW)
  assert.is(moveDigestIn(edited, OF, NEW), false)
  assert.equal([...edited], [...files(NEW)])
})

test('an environment that runs nothing, a file that is none of ours and a digest that is none are refused', () => {
  assert.throws(
    () => moveDigestIn(new Map(), OF, NEW),
    /Cannot move 'dev': deploy has no environments\/dev\/service.yaml: nothing runs there/,
  )
  assert.throws(() => moveDigestIn(new Map([...files(OLD), [VALUES, 'image: {}\n']]), OF, NEW), /it has no image.digest/)
  assert.throws(() => moveDigestIn(new Map([...files(OLD), [VALUES, 'image: [']]), OF, NEW), /Cannot edit/)
  assert.throws(() => moveDigestIn(files(OLD), OF, 'sha256:x'), /'sha256:x' is no digest/)
})

/** A remote whose branch runs the old digest. */
async function remoteAt(path: string) {
  const url = join(path, 'remote.git')
  run(path, ['init', '--quiet', '--bare', url])
  const write = (message: string, edit: (all: Map<string, string>) => void) =>
    updateDeploy({ url }, edit, { ref: 'refs/heads/deploy-dev', message })
  await write('Begin', (all) => {
    for (const [name, content] of files(OLD)) all.set(name, content)
  })
  const { signal } = new AbortController()
  const propose = (to: string) => {
    const edit = (all: Map<string, string>) => void moveDigestIn(all, OF, to as typeof OLD)
    return proposeDeploy({ url, base: 'deploy-dev', branch: 'move/dev', message: `Move dev to ${to}`, edit, signal })
  }
  const read = async (branch: string) => (await readDeploy({ url }, { ref: `refs/heads/${branch}` }))?.files
  const parentOf = (branch: string) => run(url, ['rev-parse', `${branch}^`]).trim()
  const tipOf = (branch: string) => run(url, ['rev-parse', branch]).trim()
  return { write, propose, read, parentOf, tipOf }
}

test('a proposal is one commit on top of what runs, which stays; the same again changes nothing', async () => {
  using folder = temporaryFolder()
  const remote = await remoteAt(folder.path)
  const first = await remote.propose(NEW)
  assert.is(first.changed, true)
  assert.equal(await remote.read('move/dev'), files(NEW))
  assert.equal(await remote.read('deploy-dev'), files(OLD))
  assert.is(remote.parentOf('move/dev'), remote.tipOf('deploy-dev'))
  assert.equal(await remote.propose(NEW), { sha: first.sha, changed: false })
  assert.is(remote.tipOf('move/dev'), first.sha)
})

test('a newer image, and a branch that went on meanwhile, make the proposal anew on top of it', async () => {
  using folder = temporaryFolder()
  const remote = await remoteAt(folder.path)
  await remote.propose(NEW)
  await remote.propose(NEWER)
  assert.equal(await remote.read('move/dev'), files(NEWER))
  await remote.write('By somebody else', (all) => void all.set('other.yaml', 'a: 2\n'))
  assert.is((await remote.propose(NEWER)).changed, true)
  assert.is(remote.parentOf('move/dev'), remote.tipOf('deploy-dev'))
  assert.is((await remote.read('move/dev'))?.get('other.yaml'), 'a: 2\n')
})

test('two at once: the later one is made on top of what it finds, and neither fails', async () => {
  using folder = temporaryFolder()
  const remote = await remoteAt(folder.path)
  await Promise.all([remote.propose(NEW), remote.propose(NEWER), remote.write('Race', (all) => void all.set('race.yaml', '1\n'))])
  const proposed = (await remote.read('move/dev'))?.get(VALUES)
  assert.ok([values(NEW), values(NEWER)].includes(proposed ?? ''), proposed)
  assert.equal((await remote.read('deploy-dev'))?.get(VALUES), values(OLD))
})

test('a pull request is opened once, and says anew what it is about', async () => {
  const open: Record<string, unknown>[] = []
  const asked: string[] = []
  const server = createServer(async (request, response) => {
    const { method, url = '', headers } = request
    asked.push(`${method} ${url.split('?')[0]} ${headers.authorization}`)
    const text = Buffer.concat(await request.toArray()).toString()
    if (method === 'POST') open.push({ number: 7, html_url: 'http://x/7', ...JSON.parse(text) })
    if (method === 'PATCH') Object.assign(open[0] ?? {}, JSON.parse(text))
    response.end(JSON.stringify(method === 'GET' ? open : open[0]))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const github = { api: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, repository: 'you/platform', token: 't' }
  const about = { branch: 'move/dev', base: 'deploy-dev', title: 'one', body: 'x' }
  for (const title of ['one', 'one', 'two']) assert.is(await ensurePullRequest(github, { ...about, title }), 'http://x/7')
  server.closeAllConnections()
  server.close()
  assert.equal(
    asked.map((each) => each.split(' ')[0]),
    ['GET', 'POST', 'GET', 'GET', 'PATCH'],
  )
  assert.ok(asked.every((each) => each.endsWith(' Bearer t')))
  assert.is(open[0]?.title, 'two')
})

test.run()
