/** An image on its way to a registry elsewhere, and a pull request for it: with real registries, a real remote, and once more. */
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { attest, findDestination, openDestination, type PREDICATES, publish, publishedDigest, readAttestations } from '#core'
import { passageTo } from '#kit/docker-login'
import { digestOf } from '#kit/images'
import { createProgress } from '#kit/progress'
import type { Repository } from '#kit/registry'
import { openRegistryRelay } from '#kit/registry-relay'
import { keySigning } from '#kit/signing'
import { sourceTree } from '../../local/git-server/source.ts'
import { assert, suite } from '../suite.ts'
import { createRepository, run } from '../unit/git-fixture.ts'
import { pushImage, registryOf, saying } from './registry-fixture.ts'

const test = suite('publish')

const SHA = 'ab'.repeat(20)
const NAME = 'holdfast/service'
const { folder, registry: here } = await registryOf(test, 'publish')
const { registry: there } = await registryOf(test, 'published')
const signing = keySigning(folder)
const history = createRepository(join(folder, 'history'))
const stack = { signing, source: sourceTree(history) }
const progress = createProgress()
const { signal } = new AbortController()
const before = { ...process.env }
test.before(async () => {
  process.env.DOCKER_CONFIG = folder
  const auth = Buffer.from('user:password').toString('base64')
  await writeFile(join(folder, 'config.json'), JSON.stringify({ auths: { [there.address]: { auth } } }))
})
test.after(() => {
  process.env = before
  progress[Symbol.dispose]()
})

async function said(label: string, names: readonly (keyof typeof PREDICATES)[]) {
  const image = await pushImage({ registry: here.address, name: NAME }, label)
  for (const name of names) await attest({ image, signing }, saying(image, name))
  return image
}

/** An image that is made of a commit, with all that it must have. */
async function madeOf(sha: string) {
  const image = await said(sha, ['sbom', 'test-result'])
  const resolvedDependencies = [{ digest: { gitCommit: sha } }]
  await attest({ image, signing }, { ...saying(image, 'provenance'), predicate: { buildDefinition: { resolvedDependencies } } })
  return image
}

const place = (sha = SHA) => findDestination(`${there.address}/team/service`, NAME, { sha, clean: true })

test('an image goes with all that is attached to it, under the commit and as latest, and is believed there', async () => {
  const image = await said('all', ['provenance', 'sbom', 'test-result'])
  const at = await place()
  const to = await openDestination(at)
  assert.is(await publishedDigest({ signing }, to, SHA), undefined)
  await publish(stack, image, { place: at, to, progress, signal })
  for (const tag of [SHA, 'latest']) assert.is(await digestOf(there.address, 'team/service', tag), image.digest)
  assert.is(await publishedDigest({ signing }, to, SHA), image.digest)
  const attestations = await readAttestations({ image: { registry: there.address, name: 'team/service', digest: image.digest }, signing })
  assert.equal(
    attestations.map(({ believed }) => 'statement' in believed),
    [true, true, true],
  )
  await publish(stack, image, { place: at, to, progress, signal })
  assert.is((await readAttestations({ image: { ...to, digest: image.digest }, signing })).length, 3, 'once more changes nothing')
})

test('latest goes forward only: a commit that comes before the one that it names is published under its own name alone', async () => {
  const commit = () => {
    run(history, ['commit', '--quiet', '--allow-empty', '--message', 'next'])
    return run(history, ['rev-parse', 'HEAD']).trim()
  }
  const [older, newer] = [commit(), commit()]
  run(history, ['checkout', '--quiet', older]) // as a rerun stands on it
  for (const [sha, latest] of [
    ['ef'.repeat(20), 'ef'.repeat(20)], // of another history
    [newer, newer],
    [older, newer],
    [newer, newer],
  ] as const) {
    const image = await madeOf(sha)
    const at = await place(sha)
    await publish(stack, image, { place: at, to: await openDestination(at), progress, signal })
    assert.is(await digestOf(there.address, 'team/service', sha), image.digest)
    assert.is(await digestOf(there.address, 'team/service', 'latest'), (await madeOf(latest)).digest)
  }
})

test('what is not signed is neither published nor taken for published', async () => {
  const image = await said('half', ['provenance'])
  const sha = 'cd'.repeat(20)
  const at = await place(sha)
  const to = await openDestination(at)
  await assert.rejects(publish(stack, image, { place: at, to, progress, signal }), 'it has no signed sbom')
  const unproven = await said('unproven', ['provenance', 'sbom'])
  await assert.rejects(publish(stack, unproven, { place: at, to, progress, signal }), 'it has no signed test-result. Run npm run prove')
  assert.is(await digestOf(there.address, 'team/service', sha), undefined)
  const foreign = await pushImage({ registry: there.address, name: 'team/service' }, 'foreign')
  await fetch(`http://${there.address}/v2/team/service/manifests/${sha}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
    body: await (await fetch(`http://${there.address}/v2/team/service/manifests/${foreign.digest}`)).text(),
  })
  assert.is(await publishedDigest({ signing }, to, sha), undefined)
})

test('a destination is a repository, of exactly a commit; a tag of ECR never moves, so it has no latest', async () => {
  const head = { sha: SHA, clean: true }
  await assert.rejects(findDestination('ghcr', NAME, undefined), 'the working tree is not exactly a commit. Commit what stands here')
  await assert.rejects(findDestination('ghcr', NAME, { ...head, clean: false }), 'the working tree is not exactly a commit')
  await assert.rejects(findDestination('service', NAME, head), 'it is no repository. Write ghcr, ecr, or a name such as')
  await assert.rejects(findDestination('ecr', NAME, head), 'nobody has logged in to ECR')
  process.env.GITHUB_REPOSITORY = 'You/Platform'
  assert.equal(await findDestination('ghcr', NAME, head), { host: 'ghcr.io', name: 'you/platform/holdfast/service', tags: [SHA, 'latest'] })
  const ecr = await findDestination('123456789012.dkr.ecr.us-east-2.amazonaws.com/x/y', NAME, head)
  assert.equal(ecr.tags, [SHA])
  await assert.rejects(passageTo('elsewhere.example'), 'Cannot push to elsewhere.example: nobody has logged in to it')
})

/** The registry behind a door that asks for a token, as GitHub's does. */
async function guarded(address: string): Promise<AsyncDisposable & { readonly host: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const { url = '', method, headers } = request
    if (url.startsWith('/token')) {
      asked.push(`${headers.authorization} ${new URL(url, 'http://x').searchParams.get('scope')}`)
      return void response.end(JSON.stringify({ token: 'secret' }))
    }
    if (headers.authorization !== 'Bearer secret') {
      const { port } = server.address() as AddressInfo
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://127.0.0.1:${port}/token",service="x"` })
      return void response.end()
    }
    void fetch(`http://${address}${url}`, { method: method ?? 'GET' }).then((answer) => response.writeHead(answer.status).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('a registry that asks for a token gets one, for the repository alone and only once', async () => {
  await using door = await guarded(there.address)
  const repository: Repository = {
    registry: await openRegistryRelay(await passageTo(door.host, { auths: { [door.host]: { auth: 'dXNlcjpwYXNz' } } })),
    name: 'team/service',
  }
  for (let n = 0; n < 2; n++) {
    const { status } = await fetch(`http://${repository.registry}/v2/${repository.name}/manifests/nothing`)
    assert.is(status, 404)
  }
  assert.equal(door.asked, ['Basic dXNlcjpwYXNz repository:team/service:pull,push'])
})

test.run()
